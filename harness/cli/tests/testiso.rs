//! `kolea testiso` with all scenarios on the fixture's live ISO, and an installation that fails for want of an installer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;

use support::live::LiveRun;
use support::{fixture, fixture_iso, kolea, profile, texts, write_test};

/// The fixture image as its installer takes it.
fn metal_image(dir: &Path) -> PathBuf {
    let (raw, packed) = (dir.join("metal.img"), dir.join("metal.img.lz4"));
    let mut convert = Command::new("qemu-img");
    convert
        .args(["convert", "-O", "raw"])
        .arg(fixture())
        .arg(&raw);
    let mut pack = Command::new("lz4");
    pack.args(["-q", "-1", "--content-size"])
        .arg(&raw)
        .arg(&packed);
    for command in [&mut convert, &mut pack] {
        assert!(command.status().unwrap().success(), "{command:?}");
    }
    std::fs::remove_file(raw).unwrap();
    packed
}

#[test]
fn all_scenarios_pass() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut command = kolea();
    LiveRun::configure(&mut command, root.path());
    let output = command
        .arg("testiso")
        .arg(fixture_iso())
        .arg("-b")
        .arg(profile())
        .arg("--output-dir")
        .arg(root.path().join("out"))
        .args(["-j", "2", "--metal-image"])
        .arg(metal_image(root.path()))
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    // The fixture has all that any of them needs.
    assert!(!stdout.contains("SKIP"), "{stdout}");
    let scenarios = kolea_suites::all()
        .iter()
        .filter(|test| test.tags.contains(&kolea_suites::ISO_TAG));
    let all = format!("{} pass", scenarios.count());
    assert!(stdout.contains(&all), "not {all}: {stdout}");
}

/// From inside: no ISO is there, and the arguments of the flag come before the test's own.
const BY_NETWORK: &str = r#"set -euo pipefail
[[ $(findmnt -n -o FSTYPE /) == overlay ]]
[[ -z $(lsblk -n -d -o TYPE | grep -E 'disk|rom') && ! -e /run/media/iso ]]
grep -q ' flag=a,b flag2 kolea.extra$' /proc/cmdline
"#;

#[test]
fn external_tests_boot_over_the_network() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("net");
    let needs = |boot_from| {
        format!(
            "## kola:\n##   exclusive: true\n##   bootFrom: {boot_from}\n##   minMemory: 3072\n##   appendKernelArgs: kolea.extra"
        )
    };
    let fetched = format!("{BY_NETWORK}[[ -e /run/rootfs.img ]]");
    write_test(&tree, "fetched", &needs("pxe"), &fetched);
    let appended = format!("{BY_NETWORK}[[ ! -e /run/rootfs.img ]]");
    write_test(&tree, "appended", &needs("pxe-rootfs-appended"), &appended);
    let arguments = [
        "--pxe-kargs",
        "flag=a,b",
        "--pxe-kargs",
        "flag2",
        "ext.net.*",
    ];
    let mut run = LiveRun::start_with_iso(&tree, &arguments);
    run.passes();
    for (test, agent) in [("fetched", "curl/"), ("appended", "iPXE/")] {
        let requests = run.artefact_of(&format!("ext.net.{test}"), "requests.txt");
        let rootfs: Vec<&str> = requests
            .lines()
            .filter(|line| line.contains("/kolea/rootfs.img"))
            .collect();
        assert_eq!(rootfs.len(), 1, "{requests}");
        assert!(rootfs[0].contains(agent), "{requests}");
    }
}

/// CoreOS's live ISOs name no console, and the log-in is to be seen all the same.
#[test]
fn an_iso_without_a_console_gets_the_one_that_is_read() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let mute = root.path().join("mute.iso");
    let modified = kolea()
        .args([
            "iso",
            "kargs",
            "modify",
            "-d",
            "console=ttyS0,115200n8",
            "-o",
        ])
        .args([&mute, &fixture_iso()])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&modified);
    assert!(modified.status.success(), "{stderr}");
    assert!(
        !stdout.contains("console=") && !stderr.contains("warning"),
        "{stdout} {stderr}"
    );
    let profile = profile();
    let arguments = ["-b", profile.to_str().unwrap(), "iso-live-login.bios"];
    LiveRun::start_on(&mute, root.path(), &arguments).passes();
}

#[test]
fn a_failing_installer_is_quoted() {
    let root = tempfile::tempdir().unwrap();
    let text = std::fs::read_to_string(profile()).unwrap();
    let broken = root.path().join("broken.toml");
    // The live system has no such program.
    std::fs::write(&broken, text.replace("fixture-installer", "vax-installer")).unwrap();
    let arguments = ["-b", broken.to_str().unwrap(), "iso-offline-install.bios"];
    let mut run = LiveRun::start_on(&fixture_iso(), root.path(), &arguments);
    assert_eq!(run.wait().code(), Some(1), "{}", run.said());
    let (verdict, reason) = run.verdict("iso-offline-install.bios");
    assert_eq!(verdict, "fail");
    assert!(
        reason.contains("vax-installer: command not found"),
        "{reason}"
    );
}
