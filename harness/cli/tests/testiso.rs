//! `kolea testiso` on the fixture's live ISO: every scenario that it can play passes, and an installation that fails is told in the
//! installer's words.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::{fixture_iso, profile};

#[test]
fn every_scenario_passes() {
    let profile = profile();
    let empty = tempfile::tempdir().unwrap();
    let arguments = ["-b", profile.to_str().unwrap(), "iso-*"];
    let mut run = LiveRun::start_on(&fixture_iso(), empty.path(), &arguments);
    run.passes();
    let passed = run.events();
    let passed = passed
        .iter()
        .filter(|event| event["event"] == "test-finished" && event["verdict"]["verdict"] == "pass");
    assert!(passed.count() >= 5, "{}", run.said());
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
