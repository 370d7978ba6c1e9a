//! What happens to a run when something outside of it goes wrong: the cause is named, what ran is reported, nothing is left.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::{LiveRun, pids_of, signal, tpms_of};
use support::{kolea, texts, write_test};

const REBOOT: &str =
    r#"if [ -z "$AUTOPKGTEST_REBOOT_MARK" ]; then exec /tmp/autopkgtest-reboot once; fi"#;

/// Kills the QEMU of a group with a signal from outside.
fn kill_machine_of(run: &LiveRun, group: &str) {
    let machine = run.machine_of(group);
    for pid in pids_of(&machine) {
        signal("KILL", &pid);
    }
}

#[test]
fn qemu_killed_during_boot_test_and_reboot() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("kill");
    write_test(&dir, "boot", "", "true");
    write_test(&dir, "running", "", "sleep infinity");
    write_test(&dir, "reboot", "", REBOOT);
    let mut run = LiveRun::start(&dir, &["--no-templates", "--infra-retries", "0", "ext.*"]);

    kill_machine_of(&run, "ext.kill.boot");
    run.wait_for_phase("ext.kill.running", "running");
    kill_machine_of(&run, "ext.kill.running");
    run.wait_for_phase("ext.kill.reboot", "rebooting");
    kill_machine_of(&run, "ext.kill.reboot");

    assert_eq!(run.wait().code(), Some(3), "{}", run.said());
    for test in ["ext.kill.boot", "ext.kill.running", "ext.kill.reboot"] {
        let (verdict, reason) = run.verdict(test);
        assert_eq!(verdict, "infra", "{test}: {reason}");
        assert!(reason.contains("signal 9"), "{test}: {reason}");
    }
    let junit = std::fs::read_to_string(run.out().join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<error ").count(), 3, "{junit}");
    run.assert_nothing_left();
}

#[test]
fn kolea_killed_outright() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("gone");
    write_test(&dir, "hang", "", "echo this far; sleep infinity");
    let mut run = LiveRun::start(&dir, &["ext.*"]);
    run.wait_for_phase("ext.gone.hang", "running");
    let machine = run.machine_of("ext.gone.hang");
    assert_eq!(pids_of(&machine).len(), 1);
    assert_eq!(tpms_of(&machine).len(), 1);
    signal("KILL", &run.pid());
    run.wait();

    // The machine goes with it: the kernel sees to that, at once.
    let started = std::time::Instant::now();
    while !pids_of(&machine).is_empty() || !tpms_of(&machine).is_empty() {
        assert!(
            started.elapsed().as_secs() < 10,
            "QEMU or its TPM outlives kolea"
        );
        std::thread::sleep(std::time::Duration::from_millis(20));
    }

    let output = kolea().arg("report").arg(run.out()).output().unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stderr}");
    assert!(stdout.contains("ext.gone.hang"), "{stdout}");
    let junit = std::fs::read_to_string(run.out().join("junit.xml")).unwrap();
    assert!(junit.contains("type=\"lost\""), "{junit}");
    let report = std::fs::read_to_string(run.out().join("reports/report.json")).unwrap();
    assert!(report.contains("\"result\":\"FAIL\""), "{report}");

    // What it left in the temporary directory is removed by the next run, whatever becomes of that.
    let mut next = kolea();
    LiveRun::configure(&mut next, run.root());
    let output = next
        .args(["run", "--qemu-image"])
        .arg(support::fixture())
        .arg("-E")
        .arg(&dir)
        .args(["--output-dir", "/proc/nowhere", "ext.*"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    run.assert_nothing_left();
}

#[test]
fn interrupted_once_and_twice() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("stop");
    write_test(&dir, "a-first", "", "true");
    write_test(&dir, "b-second", "", "true");
    let mut once = LiveRun::start(&dir, &["-j", "1", "ext.*"]);
    once.machine_of("ext.stop.a-first");
    signal("INT", &once.pid());
    assert_eq!(once.wait().code(), Some(130), "{}", once.said());
    assert_eq!(once.verdict("ext.stop.a-first").0, "pass");
    assert_eq!(once.verdict("ext.stop.b-second").0, "lost");
    once.assert_nothing_left();

    let mut twice = LiveRun::start(&dir, &["-j", "1", "ext.*"]);
    twice.machine_of("ext.stop.a-first");
    signal("INT", &twice.pid());
    twice.wait_for("interrupt", |event| event["event"] == "interrupted");
    signal("INT", &twice.pid());
    let started = std::time::Instant::now();
    assert_eq!(twice.wait().code(), Some(130), "{}", twice.said());
    assert!(
        started.elapsed().as_secs() < 10,
        "the second signal did not stop it"
    );
    assert_eq!(twice.verdict("ext.stop.a-first").0, "lost");
    let junit = std::fs::read_to_string(twice.out().join("junit.xml")).unwrap();
    assert_eq!(junit.matches("<testcase ").count(), 2, "{junit}");
    twice.assert_nothing_left();
}

#[test]
fn an_output_directory_in_use() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("busy");
    write_test(&dir, "hang", "", "sleep infinity");
    let mut first = LiveRun::start(&dir, &["ext.*"]);
    first.machine_of("ext.busy.hang");
    let output = kolea()
        .args(["run", "--qemu-image"])
        .arg(support::fixture())
        .arg("-E")
        .arg(&dir)
        .arg("--output-dir")
        .arg(first.out())
        .arg("ext.*")
        .output()
        .unwrap();
    let (_, stderr) = texts(&output);
    assert_eq!(output.status.code(), Some(2), "{stderr}");
    assert!(stderr.contains("in use"), "{stderr}");
    for _ in 0..2 {
        signal("INT", &first.pid());
        first.wait_for("interrupt", |event| event["event"] == "interrupted");
    }
    assert_eq!(first.wait().code(), Some(130));
    first.assert_nothing_left();
}
