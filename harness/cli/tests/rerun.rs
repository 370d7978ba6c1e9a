//! `rerun` on recorded runs. What it would run is seen by `--dry-run`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::json;
use support::{kolea, texts, write_test};

/// A directory called `t` with tests `a`, `b` and `c`.
fn tree() -> tempfile::TempDir {
    let temp = tempfile::tempdir().unwrap();
    for name in ["a", "b", "c"] {
        write_test(&temp.path().join("t"), name, "", "true");
    }
    temp
}

fn report(dir: &Path, results: &[(&str, &str)]) {
    let tests: Vec<serde_json::Value> = results
        .iter()
        .map(|(name, result)| json!({"name": name, "subtests": null, "result": result, "duration": 5, "output": ""}))
        .collect();
    let report = json!({"tests": tests, "result": "FAIL", "platform": "qemu", "version": ""});
    std::fs::create_dir_all(dir.join("reports")).unwrap();
    std::fs::write(dir.join("reports/report.json"), report.to_string()).unwrap();
}

fn rerun(temp: &Path, words: &[&str]) -> Output {
    kolea()
        .current_dir(temp.join("t"))
        .args(["rerun", "--dry-run"])
        .args(words)
        .output()
        .unwrap()
}

#[track_caller]
fn said(output: &Output, status: i32) -> (String, String) {
    let (stdout, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    (stdout, stderr)
}

#[test]
fn failed_tests_run_again_wherever_the_run_was() {
    let temp = tree();
    let results = [
        ("ext.t.a", "PASS"),
        ("non-exclusive-test-bucket-0/ext.t.b", "FAIL"),
        ("ext.t.gone", "FAIL"),
    ];
    report(&temp.path().join("out"), &results);
    let (stdout, stderr) = said(&rerun(temp.path(), &["--output-dir", "../out"]), 0);
    assert!(
        stdout.contains("running 1 of 2 failed tests of ../out again"),
        "{stdout}"
    );
    assert!(
        stdout.contains("1 tests on 1 machines") && stdout.contains("\next.t.b\n"),
        "{stdout}"
    );
    assert!(
        stderr.contains("ext.t.gone failed in ../out, and is not among the tests any more"),
        "{stderr}"
    );
    let (_, stderr) = said(
        &rerun(temp.path(), &["--output-dir", "../out", "ext.t.a"]),
        4,
    );
    assert!(stderr.contains("or matches a pattern"), "{stderr}");
    // A plan leaves the last run as it was.
    said(&rerun(temp.path(), &["--output-dir", "../out"]), 0);

    // Without a name: where kola leaves it, or the newest that a link leads to.
    let parent = temp.path().join("t/_kola_temp");
    report(
        &parent.join("qemu-2026-01-01-0000-1"),
        &[("ext.t.c", "FAIL")],
    );
    std::os::unix::fs::symlink("qemu-2026-01-01-0000-1", parent.join("qemu-latest")).unwrap();
    let (stdout, _) = said(&rerun(temp.path(), &[]), 0);
    assert!(stdout.contains("\next.t.c\n"), "{stdout}");
    std::fs::create_dir(temp.path().join("t/builds")).unwrap();
    report(&temp.path().join("t/tmp/kola"), &[("ext.t.a", "FAIL")]);
    let (stdout, _) = said(&rerun(temp.path(), &[]), 0);
    assert!(
        stdout.contains("\next.t.a\n") && !stdout.contains("ext.t.c"),
        "{stdout}"
    );
}

#[test]
fn nothing_to_repeat_is_said() {
    let temp = tree();
    let (_, stderr) = said(&rerun(temp.path(), &[]), 2);
    assert!(stderr.contains("there is no run to repeat"), "{stderr}");
    let (_, stderr) = said(&rerun(temp.path(), &["--output-dir", "../t"]), 2);
    assert!(stderr.contains("events.jsonl"), "{stderr}");
    report(
        &temp.path().join("out"),
        &[("ext.t.a", "PASS"), ("ext.t.b", "WARN")],
    );
    let (stdout, _) = said(&rerun(temp.path(), &["--output-dir", "../out"]), 0);
    assert_eq!(stdout, "kolea: nothing failed in ../out\n");
    report(&temp.path().join("out"), &[("ext.t.gone", "FAIL")]);
    said(&rerun(temp.path(), &["--output-dir", "../out"]), 4);
    std::fs::write(temp.path().join("out/reports/report.json"), "{").unwrap();
    let (_, stderr) = said(&rerun(temp.path(), &["--output-dir", "../out"]), 2);
    assert!(
        stderr.contains("report.json is no report of a run"),
        "{stderr}"
    );
}

#[test]
fn copies_run_again_as_their_test_unless_copies_are_asked_for() {
    let temp = tree();
    report(
        &temp.path().join("out"),
        &[("ext.t.a1", "FAIL"), ("ext.t.a2", "FAIL")],
    );
    let words = ["--output-dir", "../out"];
    let (stdout, _) = said(&rerun(temp.path(), &words), 0);
    assert!(stdout.contains("1 tests on 1 machines"), "{stdout}");
    let (stdout, _) = said(
        &rerun(temp.path(), &[&words[..], &["--multiply=3"]].concat()),
        0,
    );
    assert!(stdout.contains("\next.t.a2\n"), "{stdout}");
}

#[test]
fn a_run_that_was_killed_is_read_from_its_events() {
    let temp = tree();
    let out = temp.path().join("out");
    std::fs::create_dir(&out).unwrap();
    let group = |name: &str| json!({"name": name, "tests": [name], "shared": false});
    let plan = json!({"groups": [group("ext.t.a"), group("ext.t.b")], "templates": [], "lower_bound_seconds": null});
    let run = json!({"version": "", "command": [], "platform": "qemu", "arch": "x86_64", "distro": "fcos",
        "jobs": 1, "timeout_factor": 1.0, "properties": {}});
    let started =
        json!({"time": "2026-01-01T00:00:00Z", "event": "run-started", "run": run, "plan": plan});
    std::fs::write(out.join("events.jsonl"), format!("{started}\n")).unwrap();
    let (stdout, _) = said(&rerun(temp.path(), &["--output-dir", "../out"]), 0);
    assert!(stdout.contains("running 2 of 2 failed tests"), "{stdout}");
}
