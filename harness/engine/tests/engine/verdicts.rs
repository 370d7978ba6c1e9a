//! What a failure means in a run is up to the selection: a failure, a warning, or what was expected.

use std::collections::BTreeSet;

use kolea_fake::{Boot, FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, OnFailure, bucket_name};

use crate::rig::{Report, Rig};

fn warn() -> OnFailure {
    OnFailure::Warn { why: "new".into() }
}

fn expected() -> OnFailure {
    OnFailure::Expected { why: "#1".into() }
}

fn platform() -> FakePlatform {
    let fails = || vec![vec![Step::Exit(1)]];
    FakePlatform::new()
        .test("warn", fails())
        .test("xfail", fails())
        .test(
            "skip",
            vec![vec![Step::Print("no TPM".into()), Step::Exit(77)]],
        )
}

/// Tests whose failure is a warning or expected, on machines of their own or on one.
fn rig(platform: FakePlatform, exclusive: bool) -> Rig {
    let test = |on_failure: OnFailure| {
        move |test: &mut kolea_model::TestCase| {
            (test.exclusive, test.on_failure) = (exclusive, on_failure);
        }
    };
    Rig::new(platform)
        .with("warn", test(warn()))
        .with("xfail", test(expected()))
        .with("xpass", test(expected()))
        .with("skip", test(expected()))
        .with("good", test(warn()))
}

fn words(report: &Report) -> Vec<&'static str> {
    let names = ["warn", "xfail", "xpass", "skip", "good"];
    names
        .iter()
        .map(|name| report.verdict(name).word())
        .collect()
}

#[tokio::test(start_paused = true)]
async fn each_has_a_verdict_of_its_own_and_none_is_run_again() {
    for exclusive in [true, false] {
        for (exit_77, exit) in [(false, ExitCode::Pass), (true, ExitCode::WarnOnly)] {
            let report = rig(platform(), exclusive)
                .options(|options| (options.rerun, options.warn_exit_77) = (true, exit_77))
                .run()
                .await;
            assert_eq!(words(&report), ["warn", "xfail", "xpass", "skip", "pass"]);
            assert_eq!(report.exit, exit);
            for name in ["warn", "xfail", "xpass", "skip", "good"] {
                assert_eq!(report.attempts(name).len(), 1);
            }
            // What each attempt came to is told the same way as the last word.
            assert_eq!(report.attempts("xfail")[0].0, report.verdict("xfail"));
        }
    }
    let report = rig(platform(), false).run().await;
    assert_eq!(
        report.line("warn"),
        "warn: unit kola-runext-3.service exited with code 1 (only a warning: new)"
    );
    assert_eq!(
        report.line("xfail"),
        "xfail: unit kola-runext-4.service exited with code 1 (expected: #1)"
    );
    assert_eq!(report.line("xpass"), "xpass: it passed, though denied: #1");
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_real_failure_beside_them_fails_the_run() {
    let platform = platform().test("bad", vec![vec![Step::Exit(2)]]);
    let report = rig(platform, true)
        .exclusive("bad")
        .options(|options| (options.rerun, options.warn_exit_77) = (true, true))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Fail);
    assert_eq!(report.attempts("bad").len(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_is_not_well_is_what_was_expected_too() {
    let sick = || vec![Boot::Degraded("x.service".into())];
    let platform = ["warn", "xfail", "xpass", "skip", "good"]
        .iter()
        .fold(platform(), |platform, name| platform.boot(name, sick()))
        .boot(&bucket_name(0), sick());
    for exclusive in [true, false] {
        let report = rig(platform.clone(), exclusive).run().await;
        assert_eq!(words(&report), ["warn", "xfail", "xfail", "xfail", "warn"]);
        assert_eq!(report.exit, ExitCode::Pass);
    }
}

#[tokio::test(start_paused = true)]
async fn the_infrastructure_is_never_expected_to_fail() {
    let platform = FakePlatform::new().test("xpass", vec![vec![Step::Die]]);
    let report = rig(platform, true).run().await;
    assert_eq!(report.verdict("xpass").word(), "infra");
    assert_eq!(report.exit, ExitCode::Infra);
}

#[tokio::test(start_paused = true)]
async fn whoever_may_fail_may_also_depend_on_being_in_a_clone() {
    let twice = |first, second| vec![vec![Step::Exit(first)], vec![Step::Exit(second)]];
    let platform = platform()
        .test("warn", twice(0, 1))
        .test("xfail", twice(1, 0));
    let report = rig(platform, true)
        .templates()
        .options(|options| options.verify_templates_percent = 100)
        .run()
        .await;
    // Whichever of them is verified first.
    let differences: BTreeSet<&str> = report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::TemplateVerified {
                test, same: false, ..
            } => Some(test.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(differences, BTreeSet::from(["warn", "xfail"]));
    assert_eq!(report.group_verdict("verify/warn").word(), "warn");
    assert_eq!(report.group_verdict("verify/xfail").word(), "xfail");
    assert_eq!(report.exit, ExitCode::Pass);
}
