//! Templates that can't be made, and clones that let their tests down.

use std::time::Duration;

use kolea_engine::Buckets;
use kolea_fake::{Boot, FakePlatform, Freeze, Step};
use kolea_model::{EventKind, ExitCode, Verdict};

use crate::rig::{Report, Rig};

const TEMPLATE: &str = "template/default";

/// Two tests that start from one template, with one retry.
async fn two(platform: &FakePlatform) -> Report {
    let rig = Rig::new(platform.clone()).templates();
    let rig = rig.exclusive("a").exclusive("b");
    rig.options(|options| (options.infra_retries, options.keep_templates) = (1, true))
        .run()
        .await
}

fn failed(report: &Report) -> Vec<&str> {
    report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::TemplateFailed { reason, .. } => Some(reason.as_str()),
            _ => None,
        })
        .collect()
}

#[tokio::test(start_paused = true)]
async fn a_template_that_the_infrastructure_spoils_is_tried_again() {
    for (boot, freeze) in [
        (vec![Boot::Dies, Boot::Ok], vec![]),
        (vec![Boot::LaunchFails("no QEMU".into()), Boot::Ok], vec![]),
        (vec![], vec![Freeze::Fails("disk full".into()), Freeze::Ok]),
    ] {
        let platform = FakePlatform::new()
            .boot(TEMPLATE, boot)
            .freeze(TEMPLATE, freeze);
        let report = two(&platform).await;
        assert_eq!(report.exit, ExitCode::Pass);
        assert_eq!(report.origins("a"), [TEMPLATE]);
        assert_eq!(report.warnings().len(), 1);
        assert_eq!(platform.stats().kept, 1);
    }
}

#[tokio::test(start_paused = true)]
async fn without_a_template_its_tests_boot_and_say_why() {
    for freeze in [Freeze::Fails("no space left".into()), Freeze::Hangs] {
        let platform = FakePlatform::new().freeze(TEMPLATE, vec![freeze]);
        let report = two(&platform).await;
        assert_eq!(
            report.exit,
            ExitCode::Pass,
            "the tests themselves were in order"
        );
        assert_eq!(platform.stats().clones, 0);
        let reasons = failed(&report);
        assert_eq!(reasons.len(), 1);
        assert!(
            reasons[0].contains("no space left")
                || reasons[0].contains("the limit for freezing a machine of 3 min is over"),
            "{reasons:?}"
        );
        for test in ["a", "b"] {
            let why = format!("boot: the template could not be made: {}", reasons[0]);
            assert_eq!(report.origins(test), [why]);
        }
        assert_eq!(report.origins(TEMPLATE).len(), 2);
        assert_eq!(report.group_verdict(TEMPLATE), &Verdict::Pass);
    }
}

#[tokio::test(start_paused = true)]
async fn an_image_that_does_not_boot_is_booted_twice_and_no_more() {
    let never = Boot::Never(vec!["A start job is running".into()]);
    for (boot, word) in [
        (
            Boot::IgnitionFails("Ignition failed: no such user".into()),
            "fail: the machine they start from: Ignition failed",
        ),
        (
            Boot::Degraded("chronyd.service".into()),
            "fail: the machine they start from: the machine is not healthy after its boot: failed units: chronyd.service",
        ),
        (
            never,
            "timeout: timeout while booting: the machine they start from: the boot limit of 10 min",
        ),
    ] {
        let platform = FakePlatform::new().boot(TEMPLATE, vec![boot]);
        let report = two(&platform).await;
        assert_eq!(report.exit, ExitCode::Fail);
        assert_eq!(report.machines(), 2);
        assert_eq!(failed(&report).len(), 1);
        for test in ["a", "b"] {
            assert!(report.line(test).starts_with(word), "{}", report.line(test));
            let attempts = report.attempts(test);
            assert_eq!(attempts.len(), 1);
            assert!(
                attempts[0].1.contains("--- end of the console ---"),
                "{}",
                attempts[0].1
            );
        }
    }
    // The second time may be better.
    let platform = FakePlatform::new().boot(TEMPLATE, vec![Boot::Degraded("x".into()), Boot::Ok]);
    assert_eq!(two(&platform).await.exit, ExitCode::Pass);
}

#[tokio::test(start_paused = true)]
async fn a_fault_of_the_template_is_a_warning_for_a_new_test() {
    let platform = FakePlatform::new().boot(TEMPLATE, vec![Boot::Degraded("x".into())]);
    let rig = Rig::new(platform)
        .templates()
        .exclusive("a")
        .with("b", |test| {
            test.on_failure = kolea_model::OnFailure::Warn { why: "new".into() };
        });
    let report = rig.options(|options| options.rerun = true).run().await;
    assert!(matches!(report.verdict("a"), Verdict::Fail { .. }));
    assert!(matches!(report.verdict("b"), Verdict::Warn { .. }));
    assert_eq!(
        report.machines(),
        2,
        "nor is it booted once more for a rerun"
    );
}

#[tokio::test(start_paused = true)]
async fn what_the_console_says_while_a_template_boots_fails_all_its_tests() {
    let boot = vec![Boot::Says(vec!["[ 9.1] Oops: 0002 [#1]".into()])];
    let platform = FakePlatform::new()
        .boot(TEMPLATE, boot)
        .test("b", vec![vec![Step::Exit(1)]]);
    let report = two(&platform).await;
    assert_eq!(
        report.line("a"),
        "fail: seen while template/default booted, which the machine is a clone of: kernel oops: [ 9.1] Oops: 0002 [#1]"
    );
    assert!(
        report
            .line("b")
            .starts_with("fail: unit kola-runext.service")
    );
    assert!(
        report.attempts("b")[0]
            .1
            .contains("--- found while template/default booted ---")
    );
    let stats = platform.stats();
    assert_eq!((stats.clones, stats.kept), (2, 0), "not for later runs");
    // Where findings don't count, they are no verdict, but the template is not for later runs either.
    let rig = Rig::new(platform.clone())
        .templates()
        .exclusive("a")
        .exclusive("c");
    let rig =
        rig.options(|options| (options.console_rules, options.keep_templates) = (false, true));
    let report = rig.run().await;
    assert_eq!(
        (report.line("a"), platform.stats().kept),
        ("pass".into(), 0)
    );
    assert_eq!(report.warnings().len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_the_console_says_while_a_template_is_frozen_counts_as_well() {
    let freeze = vec![Freeze::Says("Oops: 7".into())];
    let platform = FakePlatform::new().freeze(TEMPLATE, freeze);
    let report = two(&platform).await;
    assert!(
        report.line("a").ends_with("kernel oops: Oops: 7"),
        "{}",
        report.line("a")
    );
    assert_eq!(platform.stats().kept, 0);
    let panic = "[   42.0] Kernel panic - not syncing: x";
    let platform = FakePlatform::new().freeze(TEMPLATE, vec![Freeze::Says(panic.into())]);
    let report = two(&platform).await;
    let line = report.line("a");
    assert!(
        line.starts_with("fail: the machine they start from: kernel panic"),
        "{line}"
    );
    assert_eq!(report.machines(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_rerun_is_not_held_responsible_for_its_template() {
    let boot = vec![Boot::Says(vec!["Oops: 1".into()])];
    let platform = FakePlatform::new().boot(TEMPLATE, boot);
    let rig = Rig::new(platform).templates().exclusive("a").exclusive("b");
    let report = rig.options(|options| options.rerun = true).run().await;
    assert!(matches!(report.verdict("a"), Verdict::Flaky { .. }));
    assert_eq!(
        report.origins("rerun/a"),
        ["boot: something was found while template/default booted"]
    );
}

#[tokio::test(start_paused = true)]
async fn a_clone_that_does_not_start_is_replaced_by_a_boot() {
    for (wake, why) in [
        (
            Boot::LaunchFails("template damaged".into()),
            "template damaged",
        ),
        (Boot::Dies, "killed by signal 9"),
        (
            Boot::Never(vec!["stuck".into()]),
            "the limit for a clone of 60 s is over before it answered",
        ),
    ] {
        let platform = FakePlatform::new().wake("a", vec![wake]);
        // Even without retries: the test has nothing to do with it.
        let rig = Rig::new(platform.clone())
            .templates()
            .exclusive("a")
            .exclusive("b");
        let report = rig.run().await;
        assert_eq!(report.exit, ExitCode::Pass);
        let attempts = report.attempts("a");
        assert!(
            matches!(attempts[0].0, Verdict::Infra { .. }),
            "{attempts:?}"
        );
        assert_eq!(attempts[0].2, Some("its clone failed: booting instead"));
        let origins = report.origins("a");
        let last = origins.last().unwrap();
        assert!(
            last.starts_with("boot: its clone failed: ") && last.contains(why),
            "{last}"
        );
        assert_eq!(report.origins("b"), [TEMPLATE]);
    }
}

#[tokio::test(start_paused = true)]
async fn after_an_infrastructure_failure_in_a_clone_the_retry_boots() {
    let platform = FakePlatform::new().test("a", vec![vec![Step::Die], vec![]]);
    let report = two(&platform).await;
    assert_eq!(report.exit, ExitCode::Pass);
    let origins = report.origins("a");
    assert_eq!(origins[0], TEMPLATE);
    assert!(origins[1].starts_with("boot: its clone failed: infrastructure (machine died)"));
    // Its retries are used up by what happens under the test.
    let platform = FakePlatform::new()
        .test("a", vec![vec![Step::Die]])
        .wake("a", vec![Boot::Dies]);
    let report = two(&platform).await;
    assert_eq!(
        (report.exit, report.attempts("a").len()),
        (ExitCode::Infra, 3)
    );
}

#[tokio::test(start_paused = true)]
async fn a_shared_clone_that_fails_is_replaced_by_a_boot() {
    let bucket = kolea_model::bucket_name(0);
    for (wake, step, clones) in [
        (Boot::Dies, Step::Exit(0), 1),
        (Boot::Ok, Step::Die, 1),
        // Not the infrastructure's fault: the others have a fresh clone.
        (Boot::Ok, Step::Panic, 2),
    ] {
        let platform = FakePlatform::new()
            .wake(&bucket, vec![wake])
            .test("a", vec![vec![step], vec![]]);
        let rig = Rig::new(platform)
            .templates()
            .shared("a")
            .shared("b")
            .exclusive("x");
        let rig = rig.options(|options| {
            (options.buckets, options.infra_retries) = (Buckets::Always, 1);
        });
        let report = rig.run().await;
        assert_eq!(report.line("b"), "pass");
        let origins = report.origins(&bucket);
        let cloned = origins.iter().filter(|origin| *origin == TEMPLATE).count();
        assert_eq!(
            (cloned, origins.len()),
            (clones, 2.max(clones)),
            "{origins:?}"
        );
    }
}

#[tokio::test(start_paused = true)]
async fn a_boot_instead_of_a_clone_waits_for_its_memory() {
    let slow = vec![vec![Step::Sleep(Duration::from_secs(50))]];
    let mut rig = Rig::new(FakePlatform::new()).templates();
    for name in ["a", "b", "c", "d", "e"] {
        rig.platform = rig.platform.test(name, slow.clone());
        rig = rig.exclusive(name);
    }
    rig.platform = rig.platform.wake("a", vec![Boot::Dies]);
    let platform = rig.platform.clone();
    let run = |rig: Rig, budget: u64| async move {
        let rig = rig.options(|options| {
            (options.jobs, options.memory_budget_mib) = (4, Some(budget));
        });
        rig.run().await
    };
    let report = run(rig, 1200).await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert!(report.origins("a")[1].starts_with("boot: "));
    assert!(platform.stats().peak_memory_mib <= 1200);
    // a waits until b, c and d are gone, and nobody starts before it.
    assert_eq!(report.run_seconds().0.round(), 150.0);
}

#[tokio::test(start_paused = true)]
async fn a_template_that_can_never_fit_is_said_at_once() {
    let rig = Rig::new(FakePlatform::new())
        .templates()
        .exclusive("a")
        .exclusive("b");
    let report = rig
        .options(|options| options.memory_budget_mib = Some(1000))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Infra);
    assert!(failed(&report)[0].contains("1024 MiB"));
    assert!(report.line("a").contains("out of memory"));
}

#[tokio::test(start_paused = true)]
async fn an_interruption_ends_a_template_and_what_waits_for_it() {
    for phase in ["booting", "freezing"] {
        let platform = FakePlatform::new()
            .boot(TEMPLATE, vec![Boot::Slow(Duration::from_secs(100))])
            .freeze(TEMPLATE, vec![Freeze::Hangs]);
        let rig = Rig::new(platform).templates().exclusive("a").exclusive("b");
        let report = rig
            .run_with(Vec::new(), |control, kind| {
                if matches!(kind, EventKind::PhaseChanged { phase: now, .. } if now.as_str() == phase) {
                    control.interrupt();
                }
            })
            .await;
        assert_eq!(report.exit, ExitCode::Interrupted);
        assert_eq!(report.line("a"), "lost: not started: interrupted by SIGINT");
        assert!(report.run_seconds().0 < 101.0);
    }
}
