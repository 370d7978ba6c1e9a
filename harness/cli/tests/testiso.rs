//! `kolea testiso` with all scenarios on the fixture's live ISO, and an installation that fails for want of an installer.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::{fixture_iso, kolea, profile, texts};

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
        .args(["-j", "2"])
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
