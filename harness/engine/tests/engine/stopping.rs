//! Ctrl-C once and twice.

use std::time::Duration;

use kolea_fake::{FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, Verdict};

use crate::rig::Rig;

fn slow(seconds: u64) -> Vec<Vec<Step>> {
    vec![vec![Step::Sleep(Duration::from_secs(seconds))]]
}

fn is_running(kind: &EventKind, name: &str) -> bool {
    matches!(kind, EventKind::PhaseChanged { test: Some(test), phase: kolea_model::Phase::Running, .. } if test == name)
}

#[tokio::test(start_paused = true)]
async fn once_lets_go_of_what_runs_and_starts_nothing_new() {
    let platform = FakePlatform::new().test("a", slow(100));
    let rig = Rig::new(platform.clone())
        .exclusive("a")
        .exclusive("b")
        .exclusive("c");
    let rig = rig.options(|options| options.jobs = 1);
    let report = rig
        .run_with(Vec::new(), |control, kind| {
            if is_running(kind, "a") {
                control.interrupt_by("SIGTERM");
            }
        })
        .await;
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert_eq!(report.line("a"), "pass");
    assert_eq!(
        report.line("b"),
        "lost: not started: interrupted by SIGTERM"
    );
    assert_eq!(report.attempts("b").len(), 0);
    assert_eq!(platform.stats().ordered, 1);
    assert_eq!(
        report
            .kinds()
            .filter(|kind| matches!(kind, EventKind::Interrupted { .. }))
            .count(),
        1
    );
}

#[tokio::test(start_paused = true)]
async fn once_lets_the_running_member_of_a_shared_machine_end() {
    let platform = FakePlatform::new().test("b", slow(30));
    let report = Rig::new(platform)
        .shared("a")
        .shared("b")
        .shared("c")
        .run_with(Vec::new(), |control, kind| {
            if is_running(kind, "b") {
                control.interrupt();
            }
        })
        .await;
    assert_eq!(
        (report.line("a"), report.line("b")),
        ("pass".into(), "pass".into())
    );
    assert_eq!(report.line("c"), "lost: not started: interrupted by SIGINT");
}

#[tokio::test(start_paused = true)]
async fn once_drops_a_shared_machine_that_still_boots() {
    let platform = FakePlatform::new().boot(
        "non-exclusive-test-bucket-0",
        vec![kolea_fake::Boot::Slow(Duration::from_secs(500))],
    );
    let report = Rig::new(platform)
        .shared("a")
        .shared("b")
        .run_with(Vec::new(), |control, kind| {
            if matches!(kind, EventKind::MachineStarted { .. }) {
                control.interrupt();
            }
        })
        .await;
    assert!(report.line("a").starts_with("lost: not started"));
    assert!(
        !report
            .kinds()
            .any(|kind| matches!(kind, EventKind::MachineReady { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn once_leaves_a_failure_that_would_have_run_again_as_it_is() {
    let platform = FakePlatform::new()
        .test("a", vec![vec![Step::Exit(1)], vec![]])
        .test("b", slow(100));
    let rig = Rig::new(platform).exclusive("a").exclusive("b");
    let report = rig
        .options(|options| options.rerun = true)
        .run_with(Vec::new(), |control, kind| {
            if matches!(kind, EventKind::AttemptFinished { test, .. } if test == "a") {
                control.interrupt();
            }
        })
        .await;
    assert!(matches!(report.verdict("a"), Verdict::Fail { .. }));
}

#[tokio::test(start_paused = true)]
async fn twice_kills() {
    let platform = FakePlatform::new()
        .test("a", slow(100))
        .test("s", slow(100));
    let rig = Rig::new(platform)
        .exclusive("a")
        .exclusive("b")
        .shared("s")
        .shared("t");
    let report = rig
        .options(|options| options.jobs = 2)
        .run_with(Vec::new(), |control, kind| {
            if is_running(kind, "a") {
                control.interrupt();
                control.kill();
            }
        })
        .await;
    assert_eq!(report.exit, ExitCode::Interrupted);
    assert_eq!(report.line("a"), "lost: killed while running");
    assert!(report.seconds("a") < 1.0);
    for name in ["b", "s", "t"] {
        assert!(matches!(report.verdict(name), Verdict::Lost { .. }));
    }
}
