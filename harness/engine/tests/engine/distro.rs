//! The distribution is what the first machine says it is.

use kolea_fake::{Boot, FakePlatform, Step};
use kolea_machine::profile::Profile;
use kolea_model::{EventKind, ExitCode, Restriction};

use crate::rig::{Report, Rig};

fn only(names: &[&str]) -> Restriction {
    Restriction {
        include: names.iter().map(|name| (*name).to_owned()).collect(),
        exclude: Vec::new(),
    }
}

fn detected(report: &Report) -> Vec<(&str, &str)> {
    report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::DistroDetected { distro, from } => Some((distro.as_str(), from.as_str())),
            _ => None,
        })
        .collect()
}

fn detecting(rig: Rig) -> Rig {
    rig.options(|options| {
        options.detect_distro = true;
        options.profile = Profile::builtin("generic").unwrap();
    })
}

const SKIP: &str = "skip: not applicable: distros: fcos rhcos, and the machine says it is nestos";

#[tokio::test(start_paused = true)]
async fn what_is_not_for_it_is_skipped_without_a_machine() {
    let platform = FakePlatform::new().os("nestos", Some("container"));
    let rig = Rig::new(platform.clone())
        .exclusive("a")
        .with("b", |test| test.distros = only(&["nestos"]))
        .with("c", |test| test.distros = only(&["fcos", "rhcos"]))
        .with("d", |test| test.distros = only(&["fcos", "rhcos"]));
    let report = detecting(rig)
        .options(|options| options.jobs = 1)
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    let from = "os-release of the machine: ID=nestos, VARIANT_ID=container";
    assert_eq!(detected(&report), [("nestos", from)]);
    assert_eq!(
        (report.line("a"), report.line("b")),
        ("pass".into(), "pass".into())
    );
    assert_eq!(
        (report.line("c").as_str(), report.line("d").as_str()),
        (SKIP, SKIP)
    );
    assert_eq!(report.machines(), 2);
    assert!(report.attempts("d").is_empty());
}

#[tokio::test(start_paused = true)]
async fn the_first_machine_may_be_that_of_such_a_test() {
    let platform = FakePlatform::new()
        .os("nestos", None)
        .test("a", vec![vec![Step::Exit(1)]]);
    let rig = Rig::new(platform).with("a", |test| test.distros = only(&["fcos", "rhcos"]));
    let report = detecting(rig).run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.line("a"), SKIP);
    assert_eq!(report.attempts("a").len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_bucket_leaves_them_out() {
    let platform = FakePlatform::new().os("nestos", None);
    let rig = Rig::new(platform)
        .with("a", |test| {
            (test.exclusive, test.distros) = (false, only(&["fcos", "rhcos"]));
        })
        .shared("b");
    let report = detecting(rig).run().await;
    assert_eq!(
        (report.line("a").as_str(), report.line("b").as_str()),
        (SKIP, "pass")
    );
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_template_tells_and_no_template_is_made_for_nobody() {
    let platform = FakePlatform::new().os("nestos", None);
    let for_others = |test: &mut kolea_model::TestCase| test.distros = only(&["fcos", "rhcos"]);
    let run = || {
        let rig = Rig::new(platform.clone())
            .templates()
            .exclusive("a")
            .exclusive("b")
            .exclusive("e");
        let config = r#"{"ignition":{"version":"3.0.0"}}"#;
        let rig = rig.with("c", for_others).config(config);
        let rig = rig.with("d", for_others).config(config);
        detecting(rig)
            .options(|options| {
                (options.jobs, options.keep_templates) = (1, true);
                options.verify_templates_percent = 100;
            })
            .run()
    };
    let report = run().await;
    assert_eq!(
        (report.line("c").as_str(), report.line("a").as_str()),
        (SKIP, "pass")
    );
    assert_eq!(platform.stats().templates, 1);
    assert!(report.kinds().any(|kind| matches!(kind, EventKind::TemplateFailed { template, reason }
        if template == "template/c" && reason == "none of the tests that would start from it is for nestos")));
    assert!(report.origins("verify/c").is_empty());
    // The next run knows it before any machine starts.
    let report = run().await;
    assert!(matches!(
        report.events[1].kind,
        EventKind::DistroDetected { .. }
    ));
    assert_eq!(report.line("d"), SKIP);
    assert_eq!(platform.stats().templates, 1);
}

#[tokio::test(start_paused = true)]
async fn a_machine_without_checks_is_asked_all_the_same() {
    let platform = FakePlatform::new()
        .os("fedora", Some("coreos"))
        .boot("a", vec![Boot::Degraded("x.service".into())]);
    let rig = Rig::new(platform).with("a", |test| test.needs.skip_base_checks = true);
    let report = detecting(rig).run().await;
    assert_eq!(report.line("a"), "pass");
    assert_eq!(detected(&report)[0].0, "fcos");
}

#[tokio::test(start_paused = true)]
async fn its_own_console_patterns_apply_from_then_on() {
    let line = "watchdog: BUG: soft lockup - CPU#0 stuck for 22s!";
    let says = || vec![vec![Step::Console(line.into()), Step::Console(line.into())]];
    let platform = FakePlatform::new()
        .os("nestos", None)
        .test("a", says())
        .test("b", says());
    let rig = Rig::new(platform).exclusive("a").exclusive("b");
    let report = detecting(rig)
        .options(|options| options.jobs = 1)
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    let warning = |test: &str| format!("{test}: kernel soft lockup (only a warning): {line}");
    assert_eq!(report.warnings(), [warning("a"), warning("b")]);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_distribution_is_generic() {
    let rig = Rig::new(FakePlatform::new()).exclusive("a");
    let report = detecting(rig).run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(detected(&report)[0].0, "generic");
}

#[tokio::test(start_paused = true)]
async fn a_run_that_was_told_otherwise_says_what_fits() {
    let platform = FakePlatform::new().os("nestos", Some("container"));
    let report = Rig::new(platform).exclusive("a").run().await;
    assert_eq!(
        report.line("a"),
        "fail: the machine is not healthy after its boot: not an image of fcos: VARIANT_ID in os-release is \
         `container`, not `coreos`; `-b nestos` fits"
    );
    assert!(detected(&report).is_empty());
}
