//! Ignition and the machine's own server on the fixture image: a config that a kernel argument names, an initramfs without a network
//! where nothing is fetched, and what is said of each way in which fetching fails. One run, so that its machines keep the host busy.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use support::live::{LiveRun, are_gone, relays_of, signal};
use support::{write_file, write_test};

const EXCLUSIVE: &str = "## kola:\n##   exclusive: true\n##   freshBoot: true";
/// What the kernel argument names. It merges what the machine would have got without it.
const START: &str = r#"{"ignition":{"version":"3.0.0","config":{"merge":[{"source":"http://10.0.2.10/kolea/config.ign"}]}},
  "storage":{"files":[{"path":"/etc/kolea-start","contents":{"source":"data:,started"}}]}}"#;
/// Whether the initramfs had a network, by its own journal.
const URL: &str = r"set -euo pipefail
grep ' ignition.config.url=http://10.0.2.10/start.ign' /proc/cmdline
[[ $(</etc/kolea-start) == started ]]
journalctl --boot --output=cat --unit=initrd-network.service | grep '^Finished '";
const OFFLINE: &str = r"set -euo pipefail
journalctl --boot --output=cat --unit=ignition-fetch-offline.service | grep '^Finished '
! journalctl --boot --output=cat --unit=initrd-network.service | grep '^Finished '";

/// Why the installer of the live system refuses what is on the server.
const INSTALLER: &str = r#"set -euo pipefail
refuses() {
  local expected=$1 said
  shift
  if said=$(fixture-installer install "$@" /dev/disk/by-id/virtio-disk1 2>&1); then exit 1; fi
  echo "$said"
  [[ $said == *"fixture-installer: error: "*"$expected"* ]]
}
site=http://10.0.2.10
refuses 'is not HTTPS: give --ignition-hash' --ignition-url "$site/base.ign"
refuses 'the Ignition config has the hash sha512-' --ignition-hash sha512-0 --ignition-url "$site/base.ign"
refuses 'has 1073741824 bytes, and the image needs 4294967296' --insecure-ignition --ignition-url "$site/base.ign"
refuses "fetching $site/disk.img?fault=truncated:9 failed" --insecure --image-url "$site/disk.img?fault=truncated:9"
refuses "fetching $site/gone.img failed" --insecure --image-url "$site/gone.img"
refuses 'the image has the hash' --image-url "$site/disk.img""#;
const LIVE: &str =
    "## kola:\n##   exclusive: true\n##   bootFrom: iso\n##   additionalDisks: ['1G']";

/// Test, URL of a config to be merged, and what Ignition says. That it waits no longer than that is in its config, too.
const FAILING: &[(&str, &str, &str)] = &[
    ("gone", "http://10.0.2.10/gone.ign", "resource not found"),
    (
        "silent",
        "http://10.0.2.10/base.ign?fault=silent",
        "unable to fetch resource in time",
    ),
    (
        "truncated",
        "http://10.0.2.10/base.ign?fault=truncated:10",
        "unexpected EOF",
    ),
    (
        "untrusted",
        "https://10.0.2.10/base.ign",
        "certificate signed by unknown authority",
    ),
];

fn write_failing(tree: &Path, name: &str, url: &str) {
    write_test(tree, &format!("{name}/test.sh"), EXCLUSIVE, "true");
    write_file(
        tree,
        &format!("{name}/kolea-serve/base.ign"),
        r#"{"ignition":{"version":"3.0.0"}}"#,
    );
    let config = format!(
        r#"{{"ignition":{{"version":"3.0.0","timeouts":{{"httpTotal":10}},"config":{{"merge":[{{"source":"{url}"}}]}}}}}}"#
    );
    write_file(tree, &format!("{name}/config.ign"), &config);
}

#[test]
fn what_ignition_fetches_arrives_or_it_says_why_not() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("server");
    // The additional interface is on a network with the same addresses, and may be the way to the server.
    let url = "\n##   additionalNics: 1\n##   appendFirstbootKernelArgs: ignition.config.url=http://10.0.2.10/start.ign";
    write_test(&tree, "url/test.sh", &format!("{EXCLUSIVE}{url}"), URL);
    write_file(&tree, "url/kolea-serve/start.ign", START);
    write_test(&tree, "offline", EXCLUSIVE, OFFLINE);
    for (name, url, _) in FAILING {
        write_failing(&tree, name, url);
    }
    write_test(&tree, "installer/test.sh", LIVE, INSTALLER);
    for (path, text) in [
        ("base.ign", r#"{"ignition":{"version":"3.0.0"}}"#),
        ("disk.img", "not long, and no image"),
        ("disk.img.sha256", "0"),
    ] {
        write_file(&tree, &format!("installer/kolea-serve/{path}"), text);
    }
    let mut run = LiveRun::start_with_iso(&tree, &["ext.server.*"]);
    assert_eq!(run.wait().code(), Some(1), "{}", run.said());
    let mut wrong = Vec::new();
    for name in ["url", "offline", "installer"] {
        let (verdict, reason) = run.verdict(&format!("ext.server.{name}"));
        if verdict != "pass" {
            wrong.push(format!("{name}: {verdict} ({reason})"));
        }
    }
    for (name, _, says) in FAILING {
        let (verdict, reason) = run.verdict(&format!("ext.server.{name}"));
        let own = "Ignition failed in the initramfs: ";
        if verdict != "fail" || !reason.starts_with(own) || !reason.contains(says) {
            wrong.push(format!("{name}: {verdict} ({reason}), not {says}"));
        }
    }
    let record = run.artefact_of("ext.server.truncated", "requests.txt");
    let installer = run.artefact_of("ext.server.installer", "requests.txt");
    if !installer.contains(" 200 9 of 22 bytes in ") {
        wrong.push(installer);
    }
    if !record.contains(" 200 10 of 32 bytes in ") {
        wrong.push(record);
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    run.assert_nothing_left();
}

#[test]
fn what_is_between_a_machine_and_its_server_ends_with_kolea() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("server");
    write_failing(&tree, "silent", "http://10.0.2.10/base.ign?fault=silent");
    let mut run = LiveRun::start(&tree, &["ext.server.silent"]);
    let started = run.wait_for("machine", |event| event["event"] == "machine-started");
    let dir = run.out().join(started["dir"].as_str().unwrap());
    while relays_of(&dir).is_empty() {
        let ended = run
            .events()
            .iter()
            .any(|event| event["event"] == "test-finished");
        assert!(!ended, "nothing was asked: {}", run.said());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    signal("KILL", &run.pid());
    run.wait();
    assert!(are_gone(|| relays_of(&dir)), "relays are still there");
}
