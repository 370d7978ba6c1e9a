//! Machines that never come up, hang, panic and die, and tests that take them along.

use std::time::Duration;

use kolea_fake::{Boot, FakePlatform, Step};
use kolea_model::{EventKind, ExitCode, Verdict, bucket_name};

use crate::rig::{Report, Rig};

async fn one(steps: Vec<Step>) -> Report {
    let platform = FakePlatform::new().test("t", vec![steps]);
    Rig::new(platform).exclusive("t").run().await
}

async fn boots(boots: Vec<Boot>) -> Report {
    let platform = FakePlatform::new().boot("t", boots);
    let rig = Rig::new(platform).exclusive("t");
    rig.options(|options| options.infra_retries = 1).run().await
}

#[tokio::test(start_paused = true)]
async fn a_hanging_test_times_out_with_its_last_words() {
    let report = one(vec![Step::Print("so far".into()), Step::Hang]).await;
    assert_eq!(report.exit, ExitCode::Fail);
    let line = report.line("t");
    assert!(
        line.starts_with("timeout: timeout while running: the test's time limit of 10 min is over"),
        "{line}"
    );
    assert!(
        line.contains(
            "last line of the test: \"so far\"; last line of the console: \"[    0.000000] Linux"
        ),
        "{line}"
    );
    assert!(report.attempts("t")[0].1.contains("--- status of"));
    assert!((600.0..601.0).contains(&report.seconds("t")));
}

#[tokio::test(start_paused = true)]
async fn the_limit_includes_the_boot_and_is_scaled() {
    let platform = FakePlatform::new()
        .timeout_factor(3.0)
        .boot("t", vec![Boot::Slow(Duration::from_secs(1000))])
        .test("t", vec![vec![Step::Sleep(Duration::from_secs(900))]]);
    let report = Rig::new(platform).exclusive("t").run().await;
    assert!(
        report
            .line("t")
            .contains("while running: the test's time limit of 30 min"),
        "{}",
        report.line("t")
    );
    assert!((1800.0..1801.0).contains(&report.seconds("t")));
}

#[tokio::test(start_paused = true)]
async fn a_guest_that_never_comes_up_says_where_it_hangs() {
    let report = boots(vec![Boot::Never(vec![
        "A start job is running for Wait for Network".into(),
    ])])
    .await;
    let line = report.line("t");
    assert!(
        line.starts_with("timeout: timeout while booting: the test's time limit of 10 min"),
        "{line}"
    );
    assert!(
        line.ends_with("last line of the console: \"A start job is running for Wait for Network\""),
        "{line}"
    );
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn ignitions_own_words_are_the_reason() {
    let report = boots(vec![Boot::IgnitionFails(
        "Ignition failed: failed to create users".into(),
    )])
    .await;
    assert_eq!(
        report.line("t"),
        "fail: Ignition failed in the initramfs: Ignition failed: failed to create users"
    );
    assert!(report.seconds("t") < 10.0);
}

#[tokio::test(start_paused = true)]
async fn a_panic_during_boot_ends_it_at_once() {
    let panic = "[    1.8] Kernel panic - not syncing: VFS: Unable to mount root fs";
    let report = boots(vec![Boot::Never(vec![panic.into()])]).await;
    let line = report.line("t");
    assert!(
        line.starts_with("fail: kernel panic (VFS: Unable to mount root fs): ")
            && line.ends_with("(while booting)"),
        "{line}"
    );
    assert!(report.seconds("t") < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_failed_unit_after_boot_is_the_images_fault() {
    let report = boots(vec![Boot::Degraded("chronyd.service".into())]).await;
    assert_eq!(
        report.line("t"),
        "fail: the machine is not healthy after its boot: failed units: chronyd.service"
    );
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn infrastructure_failures_are_retried_on_a_fresh_machine() {
    for bad in [Boot::Dies, Boot::LaunchFails("no QEMU".into())] {
        let report = boots(vec![bad.clone(), Boot::Ok]).await;
        assert_eq!(report.exit, ExitCode::Pass);
        let attempts = report.attempts("t");
        assert!(
            matches!(attempts[0], (Verdict::Infra { .. }, _, Some(_))),
            "{attempts:?}"
        );
        assert_eq!(attempts[1].0, &Verdict::Pass);
        let report = boots(vec![bad]).await;
        assert_eq!(report.exit, ExitCode::Infra);
        assert_eq!(report.attempts("t").len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_machine_that_ends_under_a_test_is_named_at_once() {
    for (step, line) in [
        (
            Step::Die,
            "infra: infrastructure (machine died): the fake process was killed by signal 9 (while running)",
        ),
        (
            Step::OutOfMemory,
            "infra: infrastructure (out of memory): the kernel killed the fake process for lack of memory (while running)",
        ),
        (
            Step::DiskFull,
            "infra: infrastructure (disk full): the fake machine was paused: no space left on the host (while running)",
        ),
        (
            Step::PowerOff,
            "fail: the machine powered itself off while running: the guest shut down",
        ),
        (
            Step::Reset,
            "fail: the machine rebooted without being asked, while running",
        ),
    ] {
        let report = one(vec![Step::Print("x".into()), step]).await;
        assert_eq!(report.line("t"), line);
        assert!(report.seconds("t") < 1.0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_panic_under_a_test_ends_it_at_once() {
    let report = one(vec![Step::Panic]).await;
    let line = report.line("t");
    assert!(
        line.starts_with("fail: kernel panic (sysrq triggered crash): ")
            && line.ends_with("(while running)"),
        "{line}"
    );
    assert!(report.seconds("t") < 1.0);
}

#[tokio::test(start_paused = true)]
async fn a_lost_connection_is_looked_into() {
    let report = one(vec![Step::LoseSsh]).await;
    assert_eq!(
        report.line("t"),
        "infra: infrastructure (ssh): SSH to the machine: the connection was lost; it answers again, in the same boot (while running)"
    );
    let report = one(vec![Step::LoseSshForGood]).await;
    assert!(
        report
            .line("t")
            .contains("it did not answer again within the reconnection limit of 15 s"),
        "{}",
        report.line("t")
    );
    assert!((15.0..16.0).contains(&report.seconds("t")));
}

#[tokio::test(start_paused = true)]
async fn what_the_console_says_fails_a_test_that_would_have_passed() {
    let steps = vec![Step::Console("[ 9.1] Oops: 0002 [#1]".into())];
    let report = one(steps.clone()).await;
    assert_eq!(
        report.line("t"),
        "fail: kernel oops: [ 9.1] Oops: 0002 [#1]"
    );
    let platform = FakePlatform::new().test("t", vec![steps]);
    let rig = Rig::new(platform.clone()).exclusive("t");
    let report = rig
        .options(|options| options.console_rules = false)
        .run()
        .await;
    assert_eq!(report.line("t"), "pass");
    assert_eq!(report.warnings().len(), 1);
    let rig = Rig::new(platform).with("t", |test| test.needs.skip_base_checks = true);
    let report = rig.run().await;
    assert_eq!(report.line("t"), "pass");
    assert!(
        !report
            .kinds()
            .any(|kind| matches!(kind, EventKind::MachineFinding { .. }))
    );
}

#[tokio::test(start_paused = true)]
async fn a_unit_that_fails_during_a_test_fails_that_test_only() {
    let fail = vec![Step::FailUnit("foo.service".into())];
    let report = one(fail.clone()).await;
    assert_eq!(
        report.line("t"),
        "fail: the machine is not healthy after the test: failed units: foo.service"
    );
    let platform = FakePlatform::new().test("b", vec![fail.clone()]);
    let report = Rig::new(platform)
        .shared("a")
        .shared("b")
        .shared("c")
        .run()
        .await;
    assert_eq!(
        (report.line("a"), report.line("c")),
        ("pass".into(), "pass".into())
    );
    assert!(report.line("b").contains("foo.service"));
    assert_eq!(report.machines(), 1);
    // The same after a reboot.
    let report = one(vec![Step::Reboot("x".into())]).await;
    assert_eq!(report.line("t"), "pass");
}

#[tokio::test(start_paused = true)]
async fn findings_on_a_shared_machine_go_to_whom_they_belong() {
    let oops = |number: u32| Step::Console(format!("Oops: {number}"));
    let platform = FakePlatform::new().test("b", vec![vec![oops(1)]]);
    let report = Rig::new(platform)
        .shared("a")
        .shared("b")
        .shared("c")
        .run()
        .await;
    assert_eq!(report.line("a"), "pass");
    assert_eq!(report.line("b"), "fail: kernel oops: Oops: 1");
    assert_eq!(report.line("c"), "pass");
    // One that comes while nothing runs is the group's.
    let platform = FakePlatform::new().boot(&bucket_name(0), vec![Boot::Degraded("x".into())]);
    let report = Rig::new(platform).shared("a").shared("b").run().await;
    assert!(
        report.line("a").contains("failed units: x")
            && report.line("b").contains("failed units: x")
    );
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn after_a_member_that_breaks_the_machine_the_others_get_a_fresh_one() {
    for step in [Step::Hang, Step::Panic, Step::PowerOff, Step::Reset] {
        let platform = FakePlatform::new().test("b", vec![vec![step.clone()]]);
        let report = Rig::new(platform)
            .shared("a")
            .shared("b")
            .shared("c")
            .run()
            .await;
        assert_eq!(
            (report.line("a"), report.line("c")),
            ("pass".into(), "pass".into())
        );
        assert!(report.verdict("b").is_bad());
        assert_eq!(report.attempts("c").len(), 1, "not counted as an attempt");
        assert_eq!(report.machines(), 2, "{step:?}");
        assert_eq!(report.group_verdict(&bucket_name(0)), &Verdict::Pass);
    }
}

#[tokio::test(start_paused = true)]
async fn an_infrastructure_failure_on_a_shared_machine_costs_one_member_an_attempt() {
    let platform = FakePlatform::new().test("b", vec![vec![Step::Die], vec![]]);
    let rig = Rig::new(platform).shared("a").shared("b").shared("c");
    let report = rig.options(|options| options.infra_retries = 1).run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.attempts("b").len(), 2);
    assert_eq!(
        (report.attempts("a").len(), report.attempts("c").len()),
        (1, 1)
    );
    assert_eq!(report.machines(), 2);
}

#[tokio::test(start_paused = true)]
async fn a_shared_machine_that_does_not_boot_is_tried_again_once() {
    let rig = |boots: Vec<Boot>| {
        let platform = FakePlatform::new().boot(&bucket_name(0), boots);
        let rig = Rig::new(platform).shared("a").shared("b");
        rig.options(|options| options.infra_retries = 1)
    };
    let report = rig(vec![Boot::Dies, Boot::Ok]).run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.warnings().len(), 1);
    let report = rig(vec![Boot::Dies]).run().await;
    assert_eq!(report.exit, ExitCode::Infra);
    assert_eq!(report.machines(), 2);
    assert_eq!(
        (report.attempts("a").len(), report.attempts("b").len()),
        (1, 1)
    );
    let report = rig(vec![Boot::Never(vec![])]).run().await;
    assert!(
        report
            .line("b")
            .contains("timeout while booting: the boot limit of 10 min"),
        "{}",
        report.line("b")
    );
    assert_eq!(report.machines(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_can_never_fit_is_said_at_once() {
    let rig = Rig::new(FakePlatform::new())
        .with("huge", |test| test.needs.memory_mib = Some(64 << 10))
        .exclusive("small");
    let report = rig
        .options(|options| options.memory_budget_mib = Some(2048))
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Infra);
    assert_eq!(report.line("small"), "pass");
    let line = report.line("huge");
    assert!(
        line.contains("out of memory") && line.contains("65536 MiB") && line.contains("2048 MiB"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_test_that_prints_a_lot_is_cut_in_the_middle() {
    let report = one(vec![
        Step::PrintMany(200_000),
        Step::Print("the end".into()),
    ])
    .await;
    let output = report.attempts("t")[0].1;
    assert!(output.len() < 100_000);
    assert!(
        output.starts_with("line 0 of")
            && output.ends_with("the end\n")
            && output.contains("lines left out")
    );
    let (_, path) = &report.artifacts("t")[0];
    assert_eq!(
        std::fs::read_to_string(path).unwrap().lines().count(),
        200_001
    );
}

#[tokio::test(start_paused = true)]
async fn a_reboot_that_goes_wrong_is_named() {
    let report = one(vec![Step::RebootDies("x".into())]).await;
    assert_eq!(
        report.line("t"),
        "infra: infrastructure (machine died): the fake process was killed by signal 9 (while rebooting)"
    );
    let report = one(vec![Step::RebootHangs("x".into())]).await;
    let line = report.line("t");
    assert!(
        line.starts_with(
            "timeout: timeout while rebooting: the test's time limit of 10 min is over"
        ),
        "{line}"
    );
    assert!(
        report.attempts("t")[0]
            .1
            .contains("--- end of the console ---\n[    0.000000] Linux")
    );
}

#[tokio::test(start_paused = true)]
async fn what_is_left_behind_is_a_warning() {
    let platform = FakePlatform::new().leaving("/var/tmp/kolea-1");
    let report = Rig::new(platform).exclusive("t").run().await;
    assert_eq!(report.warnings(), ["left behind: /var/tmp/kolea-1"]);
    assert_eq!(report.exit, ExitCode::Pass);
}
