//! What ran in clones runs once more on machines that boot.

use kolea_fake::{Boot, FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, Verdict};

use crate::rig::{Report, Rig};

async fn verified(platform: FakePlatform, percent: u8) -> Report {
    let mut rig = Rig::new(platform).templates();
    for name in ["a", "b", "c", "d"] {
        rig = rig.exclusive(name);
    }
    let rig = rig.with("fresh", |test| test.fresh_boot = true);
    rig.options(|options| options.verify_templates_percent = percent)
        .run()
        .await
}

fn outcomes(report: &Report) -> Vec<(&str, &str, &str, bool)> {
    let mut outcomes: Vec<_> = report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::TemplateVerified {
                test,
                in_clone,
                booted,
                same,
            } => Some((test.as_str(), in_clone.word(), booted.word(), *same)),
            _ => None,
        })
        .collect();
    // They run at the same time.
    outcomes.sort_unstable();
    outcomes
}

#[tokio::test(start_paused = true)]
async fn all_or_a_sample_runs_twice() {
    let fails = vec![vec![Step::Exit(1)]];
    let report = verified(FakePlatform::new().test("b", fails), 100).await;
    let same = |name, word| (name, word, word, true);
    assert_eq!(
        outcomes(&report),
        [
            same("a", "pass"),
            same("b", "fail"),
            same("c", "pass"),
            same("d", "pass")
        ]
    );
    assert_eq!(report.origins("verify/a"), ["boot"]);
    assert_eq!(report.group_verdict("verify/b"), &Verdict::Pass);
    for name in ["a", "b", "fresh"] {
        assert_eq!(report.attempts(name).len(), 1);
    }
    assert_eq!(outcomes(&verified(FakePlatform::new(), 1).await).len(), 1);
    assert_eq!(outcomes(&verified(FakePlatform::new(), 0).await).len(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_difference_fails_the_run_and_leaves_the_test_alone() {
    let platform = FakePlatform::new().test("c", vec![vec![Step::Exit(77)], vec![Step::Exit(1)]]);
    let report = verified(platform, 100).await;
    assert_eq!(report.exit, ExitCode::Fail);
    assert_eq!(report.verdict("c").word(), "skip");
    assert!(outcomes(&report).contains(&("c", "skip", "fail", false)));
    let verdict = report.group_verdict("verify/c").to_string();
    assert!(
        verdict.contains("c depends on its machine being a clone: skip: ")
            && verdict.contains(" in the clone, fail: unit kola-runext.service exited with code 1 on a machine that booted"),
        "{verdict}"
    );
}

#[tokio::test(start_paused = true)]
async fn the_infrastructure_makes_no_difference() {
    let platform = FakePlatform::new().boot("verify/a", vec![Boot::Dies]);
    let report = verified(platform, 100).await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(outcomes(&report).len(), 3);
    assert!(report.warnings()[0].contains("a could not be run once more on a machine that boots"));
}
