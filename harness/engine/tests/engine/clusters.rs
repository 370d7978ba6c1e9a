//! Tests with several machines.

use std::time::Duration;

use kolea_fake::{Boot, FakePlatform, Step};
use kolea_machine::{Cable, NativeFuture, NativeTest, TestContext, TestFailure};
use kolea_model::{EventKind, ExitCode, MachineNeeds};

use crate::rig::{Report, Rig};

/// A test with machines on a private network.
fn cluster(machines: u32, run: fn(TestContext) -> NativeFuture) -> NativeTest {
    NativeTest {
        name: "cluster",
        description: "",
        tags: &[],
        needs: || MachineNeeds {
            private_network: true,
            ..MachineNeeds::default()
        },
        machines,
        run,
    }
}

/// Runs a command on the second of two machines.
fn on_the_second(context: TestContext) -> NativeFuture {
    Box::pin(async move { context.on(1)?.check_ok("command").await.map(|_| ()) })
}

fn ready(report: &Report) -> usize {
    let kinds = report.kinds();
    kinds
        .filter(|kind| matches!(kind, EventKind::MachineReady { .. }))
        .count()
}

#[tokio::test(start_paused = true)]
async fn machines_have_names_and_a_network_and_leave_their_artefacts() {
    let platform = FakePlatform::new();
    let test = cluster(3, |context| {
        Box::pin(async move {
            assert_eq!(context.name(), Some("fake0"));
            for number in 0..3 {
                let machine = context.on(number)?;
                machine.check_ok("true").await?;
                std::fs::write(machine.machine().dir().join("left.txt"), "").unwrap();
            }
            let Err(TestFailure::Failed(reason)) = context.on(3) else {
                panic!("there is no fourth");
            };
            assert!(reason.contains("has 3"), "{reason}");
            context.capture("network")?;
            let network = context.network()?;
            network.partition(&[&[0], &[1, 2]]);
            network.set_cable(
                1,
                Cable {
                    loss: 0.5,
                    ..Cable::default()
                },
            );
            network.join();
            Ok(())
        })
    });
    let report = Rig::new(platform.clone())
        .native(test)
        .templates()
        .run()
        .await;
    assert_eq!(report.exit, ExitCode::Pass);
    let (_, output, _) = report.attempts("cluster")[0];
    assert_eq!(output, "fake0$ true\nfake1$ true\nfake2$ true\n");
    let names: Vec<String> = report
        .artifacts("cluster")
        .into_iter()
        .map(|(name, path)| {
            assert!(path.exists(), "{}", path.display());
            name
        })
        .collect();
    let expected = [
        "cluster.txt",
        "fake1/left.txt",
        "fake2/left.txt",
        "left.txt",
        "network.pcap",
    ];
    assert_eq!(names, expected);
    let [network] = &platform.networks()[..] else {
        panic!("{:?}", platform.networks());
    };
    let machines = [0, 1, 2].map(|number| (number, format!("fake{number}")));
    assert_eq!(network.machines(), machines);
    let asked = network.asked();
    assert_eq!(asked.len(), 5, "{asked:?}");
    assert_eq!((&*asked[0], &*asked[4]), ("capture", "end of capture"));
    assert_eq!(asked[1], "partition [[0], [1, 2]]");
    let origins = report.origins("cluster");
    assert_eq!((origins.len(), ready(&report)), (3, 3));
    assert!(
        origins
            .iter()
            .all(|origin| origin.starts_with("boot: each of the test's machines"))
    );
}

#[tokio::test(start_paused = true)]
async fn a_test_with_one_machine_may_have_a_network_too() {
    let platform = FakePlatform::new();
    let test = cluster(1, |context| {
        Box::pin(async move {
            assert!(context.name().is_none() && context.on(0).is_ok() && context.on(1).is_err());
            context.network().map(|_| ())
        })
    });
    let report = Rig::new(platform.clone()).native(test).run().await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(platform.networks()[0].machines(), [(0, "fake0".to_owned())]);
}

#[tokio::test(start_paused = true)]
async fn whatever_ends_one_machine_ends_the_test_and_is_named() {
    for (step, verdict) in [
        (
            Step::Die,
            "infra: infrastructure (machine died): fake1: the fake process was killed by signal 9 (while running)",
        ),
        (
            Step::PowerOff,
            "fail: fake1: the machine powered itself off while running: the guest shut down",
        ),
        (
            Step::Panic,
            "fail: fake1: kernel panic (sysrq triggered crash): [   42.000000] Kernel panic - not syncing: sysrq triggered crash (while running)",
        ),
        (
            Step::LoseSshForGood,
            "infra: infrastructure (ssh): fake1: SSH to the machine: the connection was lost; it did not answer again within the reconnection limit of 15 s (while running)",
        ),
        (
            Step::FailUnit("a.service".into()),
            "fail: the machine is not healthy after the test: fake1: ",
        ),
        (Step::Console("Oops: 2".into()), "fail: fake1: "),
    ] {
        let platform = FakePlatform::new().test("command", vec![vec![step.clone()]]);
        let report = Rig::new(platform)
            .native(cluster(2, on_the_second))
            .run()
            .await;
        let line = report.line("cluster");
        assert!(line.starts_with(verdict), "{step:?}: {line}");
        assert_eq!(report.machines(), 2, "{step:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_death_while_the_test_looks_elsewhere_ends_it_as_well() {
    let test = cluster(2, |context| {
        Box::pin(async move {
            let second = context.on(1)?;
            tokio::spawn(async move { second.ssh("command").await });
            std::future::pending().await
        })
    });
    let platform = FakePlatform::new().test("command", vec![vec![Step::Die]]);
    let report = Rig::new(platform).native(test).run().await;
    assert!(
        report
            .line("cluster")
            .contains("fake1: the fake process was killed")
    );
    assert!(report.seconds("cluster") < 1.0);
    let (_, output, _) = report.attempts("cluster")[0];
    assert!(
        output.contains("--- fake0 ---\n--- end of the console ---"),
        "{output}"
    );
    assert!(output.contains("--- fake1 ---\n"), "{output}");
}

#[tokio::test(start_paused = true)]
async fn they_boot_at_the_same_time_and_fail_together() {
    let slow = || Boot::Slow(Duration::from_secs(20));
    let boot = |second| {
        let platform = FakePlatform::new().boot("cluster", vec![slow(), second]);
        Rig::new(platform).native(cluster(2, on_the_second)).run()
    };
    let report = boot(slow()).await;
    assert_eq!(report.exit, ExitCode::Pass);
    assert_eq!(report.seconds("cluster"), 20.0);

    // Nobody waits for the first when the second is lost.
    let report = boot(Boot::Dies).await;
    let line = report.line("cluster");
    assert!(
        line.starts_with("infra") && line.contains("fake1: the fake process"),
        "{line}"
    );
    assert!(report.seconds("cluster") < 1.0);
    assert_eq!(report.machines(), 2);

    let report = boot(Boot::LaunchFails("no such device".into())).await;
    let line = report.line("cluster");
    assert!(
        line.contains("fake1: ") && line.contains("no such device"),
        "{line}"
    );
    assert_eq!(report.machines(), 1);

    let report = boot(Boot::Degraded("bad.service".into())).await;
    let line = report.line("cluster");
    assert!(
        line.starts_with("fail: fake1: the machine is not healthy after its boot"),
        "{line}"
    );

    // Who is up already is watched while the first comes up.
    let report = boot(Boot::ThenDies(Duration::from_secs(5))).await;
    let line = report.line("cluster");
    assert!(
        line.contains("fake1: the fake process was killed"),
        "{line}"
    );
    assert_eq!(report.seconds("cluster"), 5.0);
}

#[tokio::test(start_paused = true)]
async fn a_limit_is_about_no_machine_in_particular() {
    let platform = FakePlatform::new().boot("cluster", vec![Boot::Ok, Boot::Never(Vec::new())]);
    let report = Rig::new(platform)
        .native(cluster(2, on_the_second))
        .run()
        .await;
    let line = report.line("cluster");
    assert!(
        line.starts_with("timeout: timeout while booting: fake1: "),
        "{line}"
    );

    let test = cluster(2, |_| Box::pin(std::future::pending()));
    let report = Rig::new(FakePlatform::new()).native(test).run().await;
    let line = report.line("cluster");
    assert!(
        line.starts_with("timeout: timeout while running: the test's time limit"),
        "{line}"
    );
}

#[tokio::test(start_paused = true)]
async fn a_platform_without_networks_says_so() {
    let platform = FakePlatform::new().no_networks("no networks here");
    let report = Rig::new(platform)
        .native(cluster(2, on_the_second))
        .run()
        .await;
    assert!(report.line("cluster").contains("no networks here"));
    assert_eq!(report.machines(), 0);
}

#[tokio::test(start_paused = true)]
async fn all_of_them_are_counted_before_they_start() {
    let sleep = vec![vec![Step::Sleep(Duration::from_secs(10))]];
    let platform = ["a", "b", "c", "command"]
        .iter()
        .fold(FakePlatform::new().boot_cpus(1), |platform, name| {
            platform.test(name, sleep.clone())
        });
    let rig = |jobs, budget| {
        let rig = Rig::new(platform.clone()).native(cluster(3, on_the_second));
        let rig = ["a", "b", "c"]
            .iter()
            .fold(rig, |rig, name| rig.exclusive(name));
        rig.options(|options| {
            (options.jobs, options.memory_budget_mib) = (jobs, Some(budget));
        })
        .run()
    };
    for (jobs, budget, peak) in [
        (8, 1 << 20, 6),
        (8, 4096, 3),
        (4, 1 << 20, 3),
        (1, 1 << 20, 3),
    ] {
        let report = rig(jobs, budget).await;
        assert_eq!(report.exit, ExitCode::Pass);
        assert_eq!(peak_alive(&report), peak, "{jobs} {budget}");
    }
    let report = rig(8, 3000).await;
    assert_eq!(
        report.line("cluster"),
        "infra: infrastructure (out of memory): 3 machines with 1024 MiB each need 3072 MiB of the host, which has 3000 MiB for machines: \
         free some memory or ask for smaller machines"
    );
}

/// Most machines at the same time.
fn peak_alive(report: &Report) -> i32 {
    let mut alive = 0;
    let mut peak = 0;
    for kind in report.kinds() {
        match kind {
            EventKind::MachineStarted { .. } => alive += 1,
            EventKind::MachineStopped { .. } => alive -= 1,
            _ => {}
        }
        peak = peak.max(alive);
    }
    peak
}

#[tokio::test(start_paused = true)]
async fn a_test_of_a_console_begins_with_its_machine_and_nobody_logs_in() {
    let platform = FakePlatform::new().boot("cluster", vec![Boot::Never(vec![])]);
    let test = NativeTest {
        needs: || MachineNeeds {
            console_only: true,
            skip_base_checks: true,
            ..MachineNeeds::default()
        },
        ..cluster(1, |context| {
            Box::pin(async move {
                // That nobody can log in is no machine's fault.
                let wait = context.machine().wait_ready(None);
                let late = tokio::time::timeout(Duration::from_secs(60), wait).await;
                assert!(late.is_err());
                context.log("nobody");
                Ok(())
            })
        })
    };
    let report = Rig::new(platform).native(test).run().await;
    assert_eq!(report.exit, ExitCode::Pass, "{}", report.line("cluster"));
    assert_eq!(ready(&report), 0);
    let (_, output, _) = report.attempts("cluster")[0];
    assert_eq!(output, "nobody\n");
}
