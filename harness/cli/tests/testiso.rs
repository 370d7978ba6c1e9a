//! `kolea testiso` on the fixture's live ISO, and an installation that fails for want of an installer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::{fixture_iso, kolea, profile, texts};

/// All of them are run by kolea-suites.
#[test]
fn scenarios_run_by_their_names() {
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
        .args(["iso-live-boot.bios", "iso-as-disk.bios"])
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(0), "{stdout}\n{stderr}");
    assert!(stdout.contains("2 results"), "{stdout}");
    assert!(stdout.contains("2 pass"), "{stdout}");
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
