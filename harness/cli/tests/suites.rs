//! The shipped suites on the fixture image: everything in `core` passes, and everything in `selftest`, which misbehaves on
//! purpose, gets the verdict that it deserves, with the reason. One run, so that its machines keep the host busy.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Command;

use serde_json::Value;
use support::live::LiveRun;
use support::repository;

/// Test, verdict, and what the reason says.
const SELFTEST: &[(&str, &str, &str)] = &[
    ("binary", "fail", "code 1"),
    ("fail", "fail", "code 3"),
    ("failed-unit", "fail", "kolea-left-failed.service"),
    ("flood", "fail", "code 1"),
    ("hang", "timeout", "going to hang"),
    ("hang-shared", "timeout", "going to hang"),
    ("ignition-fails", "fail", "/etc/passwd/below"),
    ("ignition-fetch", "fail", "hash verification failed"),
    ("internet", "pass", ""),
    ("kill-sshd", "infra", "SSH"),
    ("no-interpreter", "fail", "code 203"),
    ("panic", "fail", "kernel panic"),
    ("pass", "pass", ""),
    ("poweroff", "fail", "off"),
    ("signal", "fail", "signal 9"),
    ("skip", "skip", "the moon is not full"),
    ("unexpected-reboot", "fail", "rebooted"),
];

#[test]
fn every_test_ends_as_it_should() {
    let tests = repository().join("tests-external");
    let selftest = tests.join("selftest");
    let mut arguments = vec![
        "-E",
        selftest.to_str().unwrap(),
        "-j",
        "3",
        "--infra-retries",
        "0",
        // What hangs here shall not hang for long.
        "--timeout-factor",
        "2",
    ];
    arguments.extend(["ext.core.*", "basic"]);
    let names: Vec<String> = SELFTEST
        .iter()
        .map(|(name, ..)| {
            let own_directory = name.starts_with("ignition-");
            assert!(selftest.join("tests/kola").join(name).is_dir() == own_directory);
            format!("ext.selftest.{name}")
        })
        .collect();
    arguments.extend(names.iter().map(String::as_str));
    let mut run = LiveRun::start(&tests.join("core"), &arguments);
    assert_eq!(run.wait().code(), Some(1), "{}", run.said());

    let mut wrong = Vec::new();
    for (name, verdict, says) in SELFTEST {
        let (got, reason) = run.verdict(&format!("ext.selftest.{name}"));
        if got != *verdict || !reason.contains(says) {
            wrong.push(format!("{name}: {got} ({reason}), not {verdict} ({says})"));
        }
    }
    let mut core = 0;
    for event in run.events() {
        if event["event"] == "test-finished"
            && event["test"].as_str().unwrap().starts_with("ext.core.")
        {
            core += 1;
            let word = event["verdict"]["verdict"].as_str().unwrap();
            // The fixture's systemd is older than soft reboots.
            let skips = event["test"] == "ext.core.reboot.soft";
            if word != if skips { "skip" } else { "pass" } {
                wrong.push(format!("{}: {}", event["test"], event["verdict"]));
            }
        }
    }
    assert!(core >= 18, "only {core} core tests ran");
    assert!(wrong.is_empty(), "{wrong:#?}\n{}", run.said());

    reports_are_valid(&run, core + SELFTEST.len() + 1);
    artefacts_are_complete(&run);
    run.assert_nothing_left();
}

fn reports_are_valid(run: &LiveRun, tests: usize) {
    let junit = run.out().join("junit.xml");
    let lint = Command::new("xmllint")
        .args(["--noout"])
        .arg(&junit)
        .status()
        .unwrap();
    assert!(lint.success(), "junit.xml is not well-formed");
    let junit = std::fs::read_to_string(junit).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), tests);
    assert!(junit.contains("image-sha256") && junit.contains("the moon is not full"));

    let report: Value =
        serde_json::from_slice(&std::fs::read(run.out().join("reports/report.json")).unwrap())
            .unwrap();
    assert_eq!(report["result"], "FAIL");
    let tap = std::fs::read_to_string(run.out().join("test.tap")).unwrap();
    assert!(tap.starts_with("1.."), "{tap}");
    assert!(
        tap.lines()
            .any(|line| line == "not ok - ext.selftest.panic"),
        "{tap}"
    );
}

/// Every machine has its files, and every external test that ran has its log.
fn artefacts_are_complete(run: &LiveRun) {
    for event in run.events() {
        match event["event"].as_str().unwrap() {
            "machine-started" => {
                let dir = run.out().join(event["dir"].as_str().unwrap());
                // A machine that never left the initramfs has sent its journal another way.
                let owner = event["owner"].as_str().unwrap();
                let journal = if owner.starts_with("ext.selftest.ignition-") {
                    "ignition-virtio-dump.txt"
                } else {
                    "journal.txt"
                };
                for name in [
                    "console.txt",
                    journal,
                    "ignition.json",
                    "qemu-command.txt",
                    "exit-status.txt",
                ] {
                    assert!(
                        dir.join(name).exists(),
                        "{name} is missing in {}",
                        dir.display()
                    );
                }
                for name in ["console.txt", journal] {
                    assert!(std::fs::metadata(dir.join(name)).unwrap().len() > 0);
                }
            }
            "attempt-finished" => {
                let artifacts = event["artifacts"].as_object().unwrap();
                for path in artifacts.values() {
                    let path = run.out().join(path.as_str().unwrap());
                    assert!(path.exists(), "{} is missing", path.display());
                }
                let test = event["test"].as_str().unwrap();
                if test.starts_with("ext.core.") {
                    assert!(
                        artifacts.contains_key(&format!("{test}.txt")),
                        "{test} has no log"
                    );
                }
                if test == "ext.selftest.flood" {
                    log_is_whole(
                        &run.out()
                            .join(artifacts[&format!("{test}.txt")].as_str().unwrap()),
                    );
                }
            }
            _ => {}
        }
    }
}

/// 5,120 numbered lines of 4 KiB.
fn log_is_whole(log: &Path) {
    let text = std::fs::read_to_string(log).unwrap();
    assert_eq!(text.lines().count(), 5120, "{}", log.display());
}
