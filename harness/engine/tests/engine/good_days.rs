//! Tests that pass, fail, skip, reboot and share machines.

use std::time::Duration;

use kolea_fake::{FakePlatform, Step};
use kolea_machine::{NativeTest, TestFailure};
use kolea_model::{EventKind, ExitCode, SkipReason, Verdict, bucket_name};

use crate::rig::Rig;

fn print(text: &str) -> Step {
    Step::Print(text.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_test_passes_and_leaves_its_log() {
    let platform = FakePlatform::new().test("t", vec![vec![print("hello"), print("world")]]);
    let report = Rig::new(platform).exclusive("t").run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(
        report.attempts("t"),
        [(&Verdict::Pass, "hello\nworld\n", None)]
    );
    let artifacts = report.artifacts("t");
    assert_eq!(artifacts[0].0, "t.txt");
    assert_eq!(
        std::fs::read_to_string(&artifacts[0].1).unwrap(),
        "hello\nworld\n"
    );
    assert!(artifacts[0].1.starts_with(report.dir.path().join("t")));
}

#[tokio::test(start_paused = true)]
async fn a_failure_names_the_unit_and_shows_its_status() {
    let platform = FakePlatform::new().test("t", vec![vec![print("oh"), Step::Exit(3)]]);
    let report = Rig::new(platform).exclusive("t").run().await;
    assert_eq!(report.exit, ExitCode::Fail);
    assert_eq!(
        report.line("t"),
        "fail: unit kola-runext.service exited with code 3"
    );
    let output = report.attempts("t")[0].1;
    assert!(
        output.starts_with("oh\n--- status of kola-runext.service ---\n"),
        "{output}"
    );
}

#[tokio::test(start_paused = true)]
async fn exit_77_is_a_skip_with_the_last_line_as_the_reason() {
    let platform = FakePlatform::new().test(
        "t",
        vec![vec![print("no TPM here"), print(""), Step::Exit(77)]],
    );
    let report = Rig::new(platform).exclusive("t").run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.line("t"), "skip: skipped by the test: no TPM here");
}

#[tokio::test(start_paused = true)]
async fn reboots_carry_their_marks() {
    let expect = |mark: Option<&str>| Step::ExpectMark(mark.map(str::to_owned));
    let platform = FakePlatform::new().test(
        "t",
        vec![vec![
            expect(None),
            print("before"),
            Step::Reboot("one".into()),
            expect(Some("one")),
            Step::SoftReboot("two".into()),
            expect(Some("two")),
            print("after"),
        ]],
    );
    let report = Rig::new(platform).exclusive("t").run().await;
    assert_eq!(
        report.attempts("t"),
        [(&Verdict::Pass, "before\nafter\n", None)]
    );
    let phases: Vec<&str> = report
        .kinds()
        .filter_map(|kind| match kind {
            EventKind::PhaseChanged { phase, .. } => Some(phase.as_str()),
            _ => None,
        })
        .collect();
    assert_eq!(
        phases,
        [
            "preparing",
            "booting",
            "checking",
            "installing",
            "running",
            "rebooting",
            "checking",
            "running",
            "soft-rebooting",
            "checking",
            "running",
            "collecting",
            "stopping"
        ]
    );
}

#[tokio::test(start_paused = true)]
async fn a_shared_machine_runs_its_tests_one_after_the_other() {
    let platform = FakePlatform::new()
        .test("a", vec![vec![print("from a"), Step::Exit(1)]])
        .test("b", vec![vec![print("from b")]])
        .test("c", vec![vec![Step::Reboot("no".into())]]);
    let rig = Rig::new(platform)
        .shared("c")
        .shared("a")
        .shared("b")
        .shared("d");
    let report = rig.run().await;
    // a's failed unit is not held against b; c may not reboot, and d runs on another machine for that.
    assert_eq!(
        report.line("a"),
        "fail: unit kola-runext-1.service exited with code 1"
    );
    assert_eq!(report.attempts("b"), [(&Verdict::Pass, "from b\n", None)]);
    assert!(report.line("c").contains("only exclusive tests may"));
    assert_eq!(report.line("d"), "pass");
    assert_eq!(report.machines(), 2);
    assert_eq!(report.group_verdict(&bucket_name(0)), &Verdict::Pass);
    let files: Vec<String> = report
        .artifacts("b")
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(files, ["b.txt"]);
}

#[tokio::test(start_paused = true)]
async fn a_lonely_shareable_test_keeps_its_number_and_its_short_limit() {
    let platform = FakePlatform::new().test("a", vec![vec![Step::Hang]]);
    let report = Rig::new(platform).shared("a").exclusive("x").run().await;
    assert!(
        report.line("a").contains("time limit of 60 s"),
        "{}",
        report.line("a")
    );
    assert!(report.attempts("a")[0].1.contains("kola-runext-1.service"));
}

#[tokio::test(start_paused = true)]
async fn flaky_is_a_verdict_of_its_own() {
    let platform = FakePlatform::new()
        .test("flaky", vec![vec![Step::Exit(1)], vec![]])
        .test("bad", vec![vec![Step::Exit(1)], vec![Step::Exit(2)]]);
    let rig = Rig::new(platform)
        .shared("flaky")
        .shared("bad")
        .shared("good");
    let report = rig.options(|options| options.rerun = true).run().await;
    assert_eq!(
        report.line("flaky"),
        "flaky: unit kola-runext-2.service exited with code 1"
    );
    assert_eq!(
        report.line("bad"),
        "fail: unit kola-runext-1.service exited with code 2"
    );
    assert_eq!(report.attempts("flaky").len(), 2);
    assert_eq!(report.attempts("good").len(), 1);
    assert_eq!(report.machines(), 3);
    let started = |name: &str| {
        report
            .kinds()
            .any(|kind| matches!(kind, EventKind::GroupStarted { group, .. } if group == name))
    };
    assert!(started("rerun/flaky") && started("rerun/bad"));
    let dirs = report.kinds().filter(|kind| matches!(kind, EventKind::MachineStarted { dir, .. } if dir.starts_with("rerun/flaky")));
    assert_eq!(dirs.count(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_new_test_only_warns() {
    let platform = FakePlatform::new().test("t", vec![vec![Step::Exit(1)]]);
    let rig = || {
        Rig::new(platform.clone()).with("t", |test| {
            test.on_failure = kolea_model::OnFailure::Warn { why: "new".into() };
        })
    };
    let report = rig().run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert!(
        report
            .line("t")
            .starts_with("warn: unit kola-runext.service exited with code 1 (only a warning: new)")
    );
    let report = rig()
        .options(|options| (options.warn_exit_77, options.rerun) = (true, true))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::WarnOnly);
    assert_eq!(report.attempts("t").len(), 1);
}

fn native(
    name: &'static str,
    run: fn(kolea_machine::TestContext) -> kolea_machine::NativeFuture,
) -> NativeTest {
    NativeTest {
        name,
        description: "",
        tags: &[],
        needs: kolea_model::MachineNeeds::default,
        machines: 1,
        run,
    }
}

#[tokio::test(start_paused = true)]
async fn compiled_in_tests_run_too_and_may_panic() {
    let rig = Rig::new(FakePlatform::new())
        .native(native("good", |context| {
            Box::pin(async move { context.check_ok("true").await.map(|_| ()) })
        }))
        .native(native("bad", |_| {
            Box::pin(async { Err(TestFailure::Failed("no".into())) })
        }))
        .native(native("skip", |_| {
            Box::pin(async { Err(TestFailure::Skipped("not here".into())) })
        }))
        .native(native("panics", |_| {
            Box::pin(async { panic!("at the {}", "disco") })
        }))
        .native(native("hangs", |_| Box::pin(std::future::pending())));
    let report = rig.run().await;
    assert_eq!(
        report.attempts("good"),
        [(&Verdict::Pass, "$ true\n", None)]
    );
    assert_eq!(report.line("bad"), "fail: no");
    assert_eq!(report.line("skip"), "skip: skipped by the test: not here");
    assert_eq!(
        report.line("panics"),
        "fail: the test panicked: at the disco"
    );
    assert!(
        report
            .line("hangs")
            .starts_with("timeout: timeout while running: ")
    );
}

#[tokio::test(start_paused = true)]
async fn known_skips_come_first() {
    let reason = SkipReason::NotApplicable {
        rule: "architectures: !x86_64".into(),
    };
    let report = Rig::new(FakePlatform::new())
        .exclusive("t")
        .run_with(vec![("s".into(), reason)], |_, _| ())
        .await;
    assert!(matches!(&report.events[1].kind, EventKind::TestSkipped { test, .. } if test == "s"));
}

#[tokio::test(start_paused = true)]
async fn what_the_command_line_knows_of_the_run_is_in_the_reports() {
    let rig = Rig::new(FakePlatform::new()).exclusive("t");
    let report = rig
        .options(|options| {
            let properties = &mut options.info.properties;
            properties.insert("image".into(), "x.qcow2".into());
        })
        .run()
        .await;
    let EventKind::RunStarted { run, .. } = &report.events[0].kind else {
        panic!("{:?}", report.events[0]);
    };
    assert_eq!(run.properties["image"], "x.qcow2");
}

#[tokio::test(start_paused = true)]
async fn memory_is_never_overcommitted() {
    let platform = FakePlatform::new();
    let mut rig = Rig::new(platform.clone());
    for number in 0..30_u64 {
        let name = format!("t{number:02}");
        rig.platform = rig.platform.test(
            &name,
            vec![vec![Step::Sleep(Duration::from_secs(number % 7))]],
        );
        rig = rig.with(&name, |test| {
            test.needs.memory_mib = Some(300 + 200 * (number % 5));
        });
    }
    let report = rig
        .options(|options| (options.jobs, options.memory_budget_mib) = (8, Some(2500)))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    let stats = platform.stats();
    assert!(
        stats.peak_memory_mib <= 2500 && stats.peak_alive > 2,
        "{stats:?}"
    );
}

#[tokio::test]
async fn a_thousand_tests_cost_nearly_nothing() {
    let mut rig = Rig::new(FakePlatform::new()).options(|options| options.jobs = 8);
    for number in 0..1000 {
        rig = rig.exclusive(&format!("ext.many.t{number}"));
    }
    let before = cpu_seconds();
    let report = rig.run().await;
    let spent = cpu_seconds() - before;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.machines(), 1000);
    // Unoptimised, and with the other tests of this process beside it: a guard against the quadratic only.
    assert!(spent < 5.0, "{spent} s of CPU");
}

/// User and system time of this process, in seconds (proc(5): `stat`, fields 14 and 15, in ticks of 10 ms).
fn cpu_seconds() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap();
    let fields: Vec<&str> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}
