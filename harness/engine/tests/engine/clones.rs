//! Templates that are made once, and machines that are clones of them.

use std::time::Duration;

use kolea_engine::{Buckets, RunOptions};
use kolea_fake::{Boot, FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, Verdict, bucket_name};

use crate::rig::{Report, Rig};

fn seconds(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn keep(options: &mut RunOptions) {
    options.keep_templates = true;
}

/// A run of tests that need a second each, where a template needs 20.
fn platform(tests: &[&str]) -> FakePlatform {
    let platform = FakePlatform::new().boot("template/default", vec![Boot::Slow(seconds(20))]);
    tests.iter().fold(platform, |platform, test| {
        platform
            .test(test, vec![vec![Step::Sleep(seconds(1))]])
            .boot(test, vec![Boot::Slow(seconds(20))])
    })
}

#[tokio::test(start_paused = true)]
async fn one_boot_serves_all() {
    let platform = platform(&["a", "b", "c", "d"]);
    let rig = Rig::new(platform.clone()).templates();
    let rig = rig.exclusive("a").exclusive("b").exclusive("c");
    let report = rig
        .exclusive("d")
        .options(|options| options.jobs = 2)
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(
        report.templates(),
        [("template/default", vec!["a", "b", "c", "d"])]
    );
    assert_eq!(report.origins("template/default"), ["boot"]);
    for test in ["a", "b", "c", "d"] {
        assert_eq!(report.origins(test), ["template/default"]);
    }
    let stats = platform.stats();
    assert_eq!((stats.templates, stats.clones, stats.kept), (1, 4, 0));
    let (wall, bound) = report.run_seconds();
    assert!(
        (22.0..22.5).contains(&wall) && bound > 21.9,
        "{wall} {bound}"
    );
    // The clock of a test that is not held up by a boot.
    assert!((1.0..1.1).contains(&report.seconds("a")));
    let dirs: Vec<_> = report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::MachineStarted { owner, dir, .. } if owner == "template/default" => {
                Some(dir.parent().unwrap().display().to_string())
            }
            _ => None,
        })
        .collect();
    assert_eq!(dirs, ["template/default"]);
}

#[tokio::test(start_paused = true)]
async fn a_clone_is_not_checked_again_and_its_steps_are_told() {
    let rig = Rig::new(FakePlatform::new()).templates();
    let report = rig.exclusive("a").exclusive("b").run().await;
    let told = |group: &str| -> Vec<&str> {
        let kinds = report.kinds();
        kinds
            .filter_map(|kind| match kind {
                EventKind::MachineStep { owner, step, .. } if owner == group => Some(step.as_str()),
                _ => None,
            })
            .collect()
    };
    assert_eq!(
        told("template/default"),
        ["start", "wait-ready", "exec check", "stop"]
    );
    assert_eq!(
        told("a"),
        [
            "load",
            "wait-ready",
            "exec install",
            "exec run-test-unit",
            "exec check",
            "stop"
        ]
    );
    let phases = |name: &str| -> Vec<&str> {
        let kinds = report.kinds();
        kinds
            .filter_map(|kind| match kind {
                EventKind::PhaseChanged { group, phase, .. } if group == name => {
                    Some(phase.as_str())
                }
                _ => None,
            })
            .collect()
    };
    assert_eq!(
        phases("template/default"),
        ["preparing", "booting", "checking", "freezing", "stopping"]
    );
    assert_eq!(
        phases("a"),
        [
            "preparing",
            "booting",
            "installing",
            "running",
            "collecting",
            "stopping"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn reboots_and_logs_are_as_on_any_machine() {
    let expect = |mark: Option<&str>| Step::ExpectMark(mark.map(str::to_owned));
    let steps = vec![
        expect(None),
        Step::Print("before".into()),
        Step::Reboot("one".into()),
        expect(Some("one")),
        Step::Print("after".into()),
    ];
    let platform = FakePlatform::new().test("a", vec![steps]);
    let rig = Rig::new(platform).templates();
    let report = rig.exclusive("a").exclusive("b").run().await;
    assert_eq!(
        report.attempts("a"),
        [(&Verdict::Pass, "before\nafter\n", None)]
    );
    assert_eq!(report.artifacts("a")[0].0, "a.txt");
}

#[tokio::test(start_paused = true)]
async fn what_can_not_be_a_clone_says_why_and_boots() {
    let reason = "a device can't be saved";
    let platform = FakePlatform::new().not_clonable(4096, reason);
    let rig = Rig::new(platform.clone()).templates();
    let rig = rig
        .exclusive("a")
        .exclusive("b")
        .with("fresh", |test| test.fresh_boot = true)
        .with("unchecked", |test| test.needs.skip_base_checks = true)
        .with("big", |test| test.needs.memory_mib = Some(4096))
        .with("lonely", |test| test.needs.disk_gib = Some(20));
    let report = rig.run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(
        report.origins("fresh"),
        ["boot: the test asks for a fresh boot"]
    );
    assert!(report.origins("unchecked")[0].contains("base checks"));
    assert_eq!(report.origins("big"), [format!("boot: {reason}")]);
    // Nobody else would use its template, and it is not kept.
    assert_eq!(report.origins("lonely"), ["boot"]);
    assert_eq!(report.templates(), [("template/default", vec!["a", "b"])]);
    let rig = Rig::new(platform).exclusive("a").exclusive("fresh");
    let report = rig.run().await;
    assert_eq!(
        (report.origins("a"), report.templates().len()),
        (vec!["boot".to_owned()], 0)
    );
}

#[tokio::test(start_paused = true)]
async fn equal_configs_share_a_template_and_others_have_their_own() {
    let rig = Rig::new(FakePlatform::new()).templates();
    let rig = rig.exclusive("a").config("{}").exclusive("b").config("{}");
    let rig = rig
        .exclusive("c")
        .exclusive("d")
        .exclusive("e")
        .config("{ }");
    let report = rig.run().await;
    assert_eq!(
        report.templates(),
        [
            ("template/a", vec!["a", "b"]),
            ("template/default", vec!["c", "d"])
        ]
    );
    assert_eq!(report.origins("e"), ["boot"]);
}

#[tokio::test(start_paused = true)]
async fn templates_live_on_for_the_next_run() {
    let platform = platform(&["a"]);
    let run = || {
        Rig::new(platform.clone())
            .templates()
            .options(keep)
            .exclusive("a")
            .run()
    };
    let report = run().await;
    assert_eq!(report.origins("a"), ["template/default"]);
    assert_eq!(platform.stats().kept, 1);
    let report = run().await;
    assert_eq!(report.run_seconds().0.round(), 1.0);
    assert_eq!(platform.stats().templates, 1);
    let cached = |report: &Report| {
        report
            .kinds()
            .any(|kind| matches!(kind, EventKind::TemplateReady { cached: true, .. }))
    };
    assert!(cached(&report));
    assert_eq!(report.templates(), [("template/default", vec!["a"])]);
    // One that is damaged is made again.
    platform.damage_kept();
    let report = run().await;
    assert!(!cached(&report));
    assert_eq!(platform.stats().templates, 2);
}

#[tokio::test(start_paused = true)]
async fn a_cache_is_not_filled_with_what_one_test_uses() {
    let run = |count: u64| async move {
        let mut rig = Rig::new(FakePlatform::new()).templates().options(keep);
        for number in 0..count {
            let memory = Some(2000 + number);
            rig = rig.with(&format!("t{number}"), |test| test.needs.memory_mib = memory);
        }
        let platform = rig.platform.clone();
        rig.run().await;
        platform.stats().kept
    };
    assert_eq!((run(4).await, run(5).await), (4, 0));
}

#[tokio::test(start_paused = true)]
async fn tests_that_would_share_have_clones_of_their_own_where_that_is_cheap() {
    let run = |buckets: Buckets, jobs: usize| async move {
        let platform = FakePlatform::new().test("b", vec![vec![Step::Hang]]);
        let rig = Rig::new(platform).templates();
        let rig = rig.shared("a").shared("b").shared("c").exclusive("x");
        rig.options(|options| (options.buckets, options.jobs) = (buckets, jobs))
            .run()
            .await
    };
    for report in [run(Buckets::Auto, 4).await, run(Buckets::Never, 1).await] {
        assert_eq!(report.templates()[0].1.len(), 4);
        let line = report.line("b");
        assert!(line.contains("the test's time limit of 60 s"), "{line}");
        assert!(report.attempts("b")[0].1.contains("kola-runext-2.service"));
        assert!((60.0..60.1).contains(&report.seconds("b")));
    }
    let report = run(Buckets::Always, 4).await;
    assert_eq!(
        report.templates(),
        [("template/default", vec![bucket_name(0).as_str(), "x"])]
    );
    assert_eq!(report.origins(&bucket_name(0)), ["template/default"; 2]);
    assert_eq!(
        (report.line("a"), report.line("c")),
        ("pass".into(), "pass".into())
    );
}

#[tokio::test(start_paused = true)]
async fn a_test_that_would_share_may_not_reboot_its_own_clone_either() {
    let platform = FakePlatform::new().test("a", vec![vec![Step::Reboot("x".into())]]);
    let rig = Rig::new(platform).templates().shared("a").shared("b");
    let report = rig
        .options(|options| options.buckets = Buckets::Never)
        .run()
        .await;
    assert_eq!(report.origins("a"), ["template/default"]);
    assert!(report.line("a").contains("only exclusive tests may"));
}

#[tokio::test(start_paused = true)]
async fn a_failure_runs_again_in_a_clone() {
    let platform = FakePlatform::new().test("a", vec![vec![Step::Exit(1)], vec![]]);
    let rig = Rig::new(platform).templates().exclusive("a").exclusive("b");
    let report = rig.options(|options| options.rerun = true).run().await;
    assert!(matches!(report.verdict("a"), Verdict::Flaky { .. }));
    assert_eq!(report.origins("rerun/a"), ["template/default"]);
}

#[tokio::test(start_paused = true)]
async fn machines_come_up_no_faster_than_the_host_can_carry() {
    let cpus = kolea_engine::host_cpus();
    let peak = |boot_cpus: u32| async move {
        let mut rig = Rig::new(FakePlatform::new().boot_cpus(boot_cpus));
        for number in 0..4 * cpus {
            let name = format!("t{number}");
            rig.platform = rig.platform.boot(&name, vec![Boot::Slow(seconds(10))]);
            rig = rig.exclusive(&name);
        }
        let platform = rig.platform.clone();
        let report = rig.options(|options| options.jobs = 4 * cpus).run().await;
        let (wall, bound) = report.run_seconds();
        // Waiting for the host is no part of what the work takes at least.
        assert!(bound < 10.5 && wall >= 10.0, "{bound}");
        (platform.stats().peak_booting, wall.round())
    };
    assert_eq!(peak(0).await, (4 * cpus, 10.0));
    assert_eq!(peak(1).await, (cpus, 40.0));
    // More than there are is all there are.
    assert_eq!(peak(1000).await.0, 1);
}

#[tokio::test(start_paused = true)]
async fn clones_are_admitted_by_what_they_cost() {
    let mut rig = Rig::new(FakePlatform::new()).templates();
    for number in 0..8 {
        let name = format!("t{number}");
        rig.platform = rig
            .platform
            .test(&name, vec![vec![Step::Sleep(seconds(9))]]);
        rig = rig.exclusive(&name);
    }
    let platform = rig.platform.clone();
    // A template needs 1024 MiB, a clone 256.
    let rig = rig.options(|options| (options.jobs, options.memory_budget_mib) = (8, Some(1100)));
    let report = rig.run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    let stats = platform.stats();
    assert_eq!((stats.peak_alive, stats.peak_memory_mib), (4, 1024));
}
