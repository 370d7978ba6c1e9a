//! The fixture's live ISO: an external test that boots from it beside one that boots from the image, the log-in on its console, and
//! an installation. One run, so that its machines keep the host busy.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::{fixture_iso, kolea, profile, texts, write_test};

/// From inside: where the root file system is, that it has the kernel argument, and why the installer refuses.
const LIVE: &str = r#"set -euo pipefail
[[ $(findmnt -n -o FSTYPE /) == overlay ]]
[[ $(lsblk -n -d -o TYPE "$(findmnt -n -o SOURCE /run/media/iso)") == rom ]]
grep -q ' kolea.extra$' /proc/cmdline
refuses() {
  local expected=$1 said
  shift
  if said=$(fixture-installer install "$@" /dev/disk/by-id/virtio-disk1 2>&1); then exit 1; fi
  echo "$said"
  [[ $said == *"fixture-installer: error: "*"$expected"* ]]
}
echo nonsense >/tmp/bad.ign
refuses 'has 1073741824 bytes, and the image needs 4294967296'
refuses 'it is no JSON with ignition.version' --ignition-file /tmp/bad.ign
refuses 'fetching http://127.0.0.1:1/disk.img failed' --image-url http://127.0.0.1:1/disk.img"#;

/// What tests of the live system ask for: both the same, so that it is booted once, and each has a clone.
const NEEDS: &str = "## kola:\n##   exclusive: true\n##   bootFrom: iso\n##   additionalDisks: ['1G']\n##   appendKernelArgs: kolea.extra";

/// From inside: a part of the ISO that nobody has read yet.
const AGAIN: &str = r#"set -euo pipefail
[[ $(findmnt -n -o FSTYPE /) == overlay ]]
[[ $(tail -c 1M /run/media/iso/images/pxeboot/rootfs.img | wc -c) == 1048576 ]]"#;

#[test]
fn a_live_iso_boots_logs_in_and_installs() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("live");
    write_test(&tree, "cd", NEEDS, LIVE);
    write_test(&tree, "again", NEEDS, AGAIN);
    let tests = [
        "ext.live.*",
        "iso-live-login.bios",
        "iso-offline-install.bios",
    ];
    let mut run = LiveRun::start_with_iso(&tree, &tests);
    run.passes();
    for test in ["ext.live.cd", "ext.live.again"] {
        let origin = run.origin_of(test);
        assert!(origin["clone"].is_object(), "{test}: {origin}");
    }
    let install = run.output_of("iso-offline-install.bios");
    assert!(install.contains("fixture-installer: writing"), "{install}");
    let completion = run.artefact_of("iso-offline-install.bios", "testisocompletion.txt");
    assert_eq!(completion, "fixture-installer-test-OK\n");
}

#[test]
fn an_iso_is_recognised_by_what_is_in_it() {
    let iso = fixture_iso();
    let dir = tempfile::tempdir().unwrap();
    let plain = dir.path().join("an-image");
    std::os::unix::fs::symlink(&iso, &plain).unwrap();
    let image = plain.to_str().unwrap();
    let run = |words: &[&str]| {
        let output = kolea()
            .current_dir(dir.path())
            .args(words)
            .output()
            .unwrap();
        let (stdout, stderr) = texts(&output);
        (output.status.code(), stdout, stderr)
    };
    // With the platform of ISOs, whose tests are these.
    let (code, stdout, stderr) = run(&["run", "--dry-run", image, "iso-live-login.bios"]);
    assert_eq!(code, Some(0), "{stderr}");
    assert!(stdout.contains("iso-live-login.bios"), "{stdout}");
    let (code, _, stderr) = run(&["-p", "qemu", "run", "--dry-run", image, "basic"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("is an ISO, and platform `qemu`"),
        "{stderr}"
    );
    // One that was changed is not what a minimal one is made of. Scenarios that need that are left out, and an error if named.
    let (code, _, stderr) = run(&[
        "iso", "kargs", "modify", "-a", "own", "-o", "own.iso", image,
    ]);
    assert_eq!(code, Some(0), "{stderr}");
    let profile = profile();
    let testiso = ["testiso", "own.iso", "-b", profile.to_str().unwrap()];
    for (pattern, expected) in [("miniso-install.b*", 4), ("miniso-install.bios", 2)] {
        let (code, _, stderr) = run(&[&testiso[..], &[pattern]].concat());
        assert_eq!(code, Some(expected), "{stderr}");
        assert!(stderr.contains("it has kernel arguments"), "{stderr}");
    }
    // Without one, tests that need it are left out, and an error if named.
    let (code, _, stderr) = run(&["testiso", "iso-live-login.bios"]);
    assert_eq!(code, Some(2), "{stderr}");
    assert!(
        stderr.contains("no live ISO: name one by --qemu-iso"),
        "{stderr}"
    );
}
