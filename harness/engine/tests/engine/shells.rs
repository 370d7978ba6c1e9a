//! A person looks at the machines of failed tests.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use kolea_engine::FailureShell;
use kolea_fake::{Boot, FakePlatform, Step};
use kolea_machine::SshLogin;
use kolea_model::{EventKind, ExitCode, OnFailure, bucket_name};

use crate::rig::{Report, Rig};

/// Somebody who looks for 1000 s each time.
#[derive(Debug, Default)]
struct Looker {
    seen: Mutex<Vec<String>>,
    open: AtomicUsize,
}

const LOOK: Duration = Duration::from_secs(1000);

#[async_trait]
impl FailureShell for Looker {
    async fn open(&self, test: &str, reason: &str, login: &SshLogin) {
        assert!(login.private_key.starts_with("the key of "));
        assert_eq!(self.open.fetch_add(1, Ordering::SeqCst), 0, "one at a time");
        let line = format!("{test}: {reason}");
        self.seen.lock().unwrap().push(line);
        tokio::time::sleep(LOOK).await;
        self.open.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn looked_at(rig: Rig) -> (Report, Vec<String>) {
    let looker = Arc::new(Looker::default());
    let shell: Arc<dyn FailureShell> = looker.clone();
    let report = rig
        .options(|options| options.failure_shell = Some(shell))
        .run()
        .await;
    let seen = std::mem::take(&mut *looker.seen.lock().unwrap());
    (report, seen)
}

fn fails() -> Vec<Vec<Step>> {
    vec![vec![Step::Exit(1)]]
}

#[tokio::test(start_paused = true)]
async fn failures_and_timeouts_are_shown_one_at_a_time_and_their_time_does_not_count() {
    let platform = FakePlatform::new()
        .test("a", fails())
        .test("b", vec![vec![Step::Hang]])
        .test("c", vec![vec![Step::Console("Oops: 2".into())]]);
    let rig = Rig::new(platform)
        .exclusive("a")
        .exclusive("b")
        .exclusive("c")
        .exclusive("good");
    let (report, mut seen) = looked_at(rig).await;
    seen.sort();
    assert_eq!(seen[0], "a: unit kola-runext.service exited with code 1");
    assert!(
        seen[1].starts_with("b: timeout while running: "),
        "{seen:?}"
    );
    assert_eq!(seen[2], "c: kernel oops: Oops: 2");
    assert_eq!(seen.len(), 3);
    assert!(report.seconds("a") < 1.0 && report.seconds("b") < 700.0);
    assert!(report.run_seconds().0 >= 3.0 * LOOK.as_secs_f64());
}

#[tokio::test(start_paused = true)]
async fn a_bucket_goes_on_with_a_fresh_machine() {
    let platform = FakePlatform::new().test("a", fails());
    let rig = Rig::new(platform).shared("a").shared("b").shared("c");
    let (report, seen) = looked_at(rig).await;
    assert_eq!(seen, ["a: unit kola-runext-1.service exited with code 1"]);
    assert_eq!(report.line("c"), "pass");
    assert_eq!(report.origins(&bucket_name(0)), ["boot", "boot"]);
    assert!(report.seconds("a") < 1.0);
}

#[tokio::test(start_paused = true)]
async fn machines_that_answer_but_are_not_well_are_shown_too() {
    let sick = || Boot::Degraded("x.service".into());
    let platform = FakePlatform::new()
        .boot("a", vec![sick()])
        .boot(&bucket_name(0), vec![sick()])
        .boot("never", vec![Boot::Never(Vec::new())]);
    let rig = Rig::new(platform)
        .exclusive("a")
        .shared("b")
        .shared("c")
        .exclusive("never");
    let (_, mut seen) = looked_at(rig).await;
    seen.sort();
    let reason = "the machine is not healthy after its boot: failed units: x.service";
    let bucket = bucket_name(0);
    assert_eq!(
        seen,
        [format!("a: {reason}"), format!("{bucket}: {reason}")]
    );
}

#[tokio::test(start_paused = true)]
async fn what_was_to_fail_and_what_is_gone_is_not_shown() {
    let platform = FakePlatform::new()
        .test("expected", fails())
        .test("panics", vec![vec![Step::Panic]])
        .test("off", vec![vec![Step::PowerOff]])
        .test("dies", vec![vec![Step::Die]])
        .test("warns", fails());
    let rig = Rig::new(platform)
        .with("expected", |test| {
            test.on_failure = OnFailure::Expected { why: "#1".into() };
        })
        .with("warns", |test| {
            test.on_failure = OnFailure::Warn { why: "new".into() }
        })
        .exclusive("panics")
        .exclusive("off")
        .exclusive("dies");
    let (report, seen) = looked_at(rig).await;
    assert_eq!(seen, ["warns: unit kola-runext.service exited with code 1"]);
    assert_eq!(report.verdict("warns").word(), "warn");
}

#[tokio::test(start_paused = true)]
async fn ctrl_c_twice_ends_it_and_once_lets_nobody_else_in() {
    for twice in [true, false] {
        let platform = FakePlatform::new().test("a", fails()).test("b", fails());
        let looker = Arc::new(Looker::default());
        let shell: Arc<dyn FailureShell> = looker.clone();
        let rig = Rig::new(platform)
            .exclusive("a")
            .exclusive("b")
            .options(|options| options.failure_shell = Some(shell));
        let control = rig.control.clone();
        let interrupt = async {
            tokio::time::sleep(LOOK / 2).await;
            control.interrupt();
            if twice {
                control.kill();
            }
        };
        let (report, ()) = tokio::join!(rig.run(), interrupt);
        assert_eq!(report.exit, ExitCode::Interrupted);
        assert_eq!(looker.seen.lock().unwrap().len(), 1);
        let expected = if twice { LOOK / 2 } else { LOOK };
        let (wall, _) = report.run_seconds();
        assert!((wall - expected.as_secs_f64()).abs() < 1.0, "{wall}");
        // What they failed with is known nevertheless.
        assert_eq!(report.verdict("a").word(), "fail");
        assert_eq!(report.verdict("b").word(), "fail");
    }
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_shown_and_a_comparison_is_not() {
    let platform = FakePlatform::new().test("a", fails());
    let rig = Rig::new(platform).templates().exclusive("a").exclusive("b");
    let rig = rig.options(|options| options.verify_templates_percent = 100);
    let (report, seen) = looked_at(rig).await;
    assert_eq!(seen.len(), 1);
    assert_eq!(report.origins("a"), ["template/default"]);
    assert!(report.kinds().any(
        |kind| matches!(kind, EventKind::TemplateVerified { test, same: true, .. } if test == "a")
    ));
}
