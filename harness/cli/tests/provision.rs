//! Machines that are provisioned otherwise than by Ignition: what cannot work, and what does on any image.
//! Images without Ignition are in `provision_cloud.rs`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::path::{Path, PathBuf};

use support::live::LiveRun;
use support::{fixture, kolea, texts, write_file, write_test};

/// The machine lets us in once more after a boot of its own.
const REBOOT: &str = r#"set -euo pipefail
[[ -e /run/credentials/@system/tmpfiles.extra ]]
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '') exec /tmp/autopkgtest-reboot again ;;
  again) systemctl is-active mantle-virtio-journal-stream.service ;;
esac"#;

/// Tests, two of which ask for what only Ignition does.
fn tree(dir: &Path) -> PathBuf {
    let tree = dir.join("way");
    write_test(&tree, "reboot", "", REBOOT);
    write_test(&tree, "config/test.sh", "", "false");
    write_file(
        &tree,
        "config/config.ign",
        r#"{"ignition": {"version": "3.3.0"}}"#,
    );
    let kernel_args = "## kola:\n##   appendFirstbootKernelArgs: quiet";
    write_test(&tree, "arguments", kernel_args, "false");
    tree
}

/// On the ordinary image, whose Ignition is told nothing.
#[test]
fn credentials_let_us_in_and_what_needs_ignition_is_skipped() {
    let temp = tempfile::tempdir().unwrap();
    let mut run = LiveRun::start(&tree(temp.path()), &["ext.*", "--provision", "credentials"]);
    run.passes();
    assert_eq!(run.verdict("ext.way.reboot").0, "pass");
    for (test, what) in [("config", "Ignition config"), ("arguments", "arguments")] {
        let (verdict, reason) = run.verdict(&format!("ext.way.{test}"));
        assert_eq!(verdict, "skip");
        assert!(reason.contains(what), "{reason}");
    }
    // Both boots from the first line on, though the journal's unit came late.
    let machine = run.machine_of("ext.way.reboot");
    let journal = run.out().join("ext.way.reboot").join(machine);
    let journal = fs::read_to_string(journal.join("journal.txt")).unwrap();
    assert_eq!(journal.matches("Linux version").count(), 2, "{journal}");
}

#[test]
fn what_cannot_work_is_said_before_anything_boots() {
    let temp = tempfile::tempdir().unwrap();
    let tree = tree(temp.path());
    let file = |name: &str, text: &str| {
        let path = temp.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let no_key = file("no-key", "nothing\n");
    let config = file("a.ign", r#"{"ignition": {"version": "3.3.0"}}"#);
    let cases: &[(&[&str], &str)] = &[
        (
            &["--provision", "none"],
            "name the private key of its user `core` by --ssh-key FILE",
        ),
        (
            &["--ssh-key", "/missing"],
            "cannot use the SSH key /missing (--ssh-key): it cannot be read: No such file",
        ),
        (
            &["--ssh-key", &no_key],
            "it is no private key that can be read",
        ),
        (
            &["--provision", "cloud-init", "--append-ignition", &config],
            "--append-ignition is for Ignition, and machines are provisioned otherwise (--provision cloud-init)",
        ),
        (
            &["--provision", "credentials", "--arch", "s390x"],
            "--provision credentials: machines of s390x have no SMBIOS",
        ),
        (
            &["--provision", "credentials", "ext.way.config"],
            "ext.way.config: not applicable: it has an Ignition config, and machines are provisioned otherwise",
        ),
        (
            &["--provision", "magic"],
            "possible values: ignition, credentials, cloud-init, none",
        ),
    ];
    for (arguments, message) in cases {
        let output = kolea()
            .args(["run", "--qemu-image"])
            .arg(fixture())
            .arg("-E")
            .arg(&tree)
            .arg("--output-dir")
            .arg(temp.path().join("out"))
            .args(*arguments)
            .output()
            .unwrap();
        let (_, stderr) = texts(&output);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {stderr}");
        assert!(stderr.contains(message), "{arguments:?}: {stderr}");
        assert!(!temp.path().join("out").exists(), "{arguments:?}");
    }
}
