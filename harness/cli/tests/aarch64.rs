//! The fixture image for aarch64: `core` passes on it as on x86_64, and templates and clones are what they are there.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::time::{SystemTime, UNIX_EPOCH};

use support::live::LiveRun;
use support::{fixture_of, repository, write_test};

/// What a clone has to have right. The program that wakes it has to be the architecture's own: without one, a shell does.
const CLONE: &str = r#"set -euo pipefail
[[ $(uname -m) == aarch64 ]]
[[ -x /usr/local/bin/kolet-wake ]]
[[ $(</sys/class/tty/console/active) == ttyAMA0 ]]
# Where udev does not announce it, systemd waits for it for a minute and a half.
systemctl is-active serial-getty@ttyAMA0.service
echo "clock=$(date +%s)"
echo "uuid=$(</proc/sys/kernel/random/uuid)""#;

#[test]
fn the_shipped_suite_passes_on_aarch64() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("arm");
    for name in ["one", "two"] {
        write_test(&tree, name, "## kola:\n##   exclusive: true", CLONE);
    }
    let core = repository().join("tests-external/core");
    let core = core.to_str().unwrap();
    let arguments = ["--arch", "aarch64", "-E", core, "ext.*", "basic"];
    let begun = now();
    let mut run = LiveRun::start_on(&fixture_of("aarch64"), &tree, &arguments);
    run.passes();
    let ended = now();

    let mut tests = 0;
    for event in run.events() {
        let test = event["test"].as_str().unwrap_or_default();
        if event["event"] == "test-finished" && test.starts_with("ext.core.") {
            tests += 1;
            let word = event["verdict"]["verdict"].as_str().unwrap();
            // The fixture's systemd is older than soft reboots.
            let skips = test == "ext.core.reboot.soft";
            assert_eq!(word, if skips { "skip" } else { "pass" }, "{event}");
        }
    }
    assert!(tests >= 18, "only {tests} core tests ran: {}", run.said());

    for test in ["ext.arm.one", "ext.arm.two"] {
        let origin = run.origin_of(test);
        assert!(origin["clone"].is_object(), "{test}: {origin}");
        let clock: u64 = run.value_of(test, "clock").parse().unwrap();
        assert!((begun..=ended).contains(&clock), "{begun} {clock} {ended}");
    }
    let uuid = |test| run.value_of(test, "uuid");
    assert_ne!(uuid("ext.arm.one"), uuid("ext.arm.two"));
}

/// Seconds since 1970.
fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    since.as_secs()
}
