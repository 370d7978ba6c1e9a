//! Whatever happens, the events make sense.

use std::time::Duration;

use kolea_engine::Buckets;
use kolea_fake::{Boot, FakePlatform, Freeze, Step};
use kolea_model::EventKind;
use proptest::prelude::*;

use crate::rig::Rig;

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => Just(Step::Print("text".to_owned())),
        2 => (0u64..90).prop_map(|seconds| Step::Sleep(Duration::from_secs(seconds))),
        2 => Just(Step::Exit(0)),
        2 => Just(Step::Exit(1)),
        1 => Just(Step::Exit(77)),
        1 => Just(Step::Hang),
        1 => Just(Step::Console("Oops: 1".to_owned())),
        1 => Just(Step::FailUnit("foo.service".to_owned())),
        1 => Just(Step::Panic),
        1 => Just(Step::Die),
        1 => Just(Step::OutOfMemory),
        1 => Just(Step::PowerOff),
        1 => Just(Step::LoseSsh),
        1 => Just(Step::LoseSshForGood),
        1 => Just(Step::Reset),
        1 => Just(Step::Reboot("mark".to_owned())),
        1 => Just(Step::RebootHangs("mark".to_owned())),
        1 => Just(Step::RebootDies("mark".to_owned())),
        1 => Just(Step::SoftReboot("mark".to_owned())),
    ]
}

fn boot() -> impl Strategy<Value = Boot> {
    prop_oneof![
        6 => Just(Boot::Ok),
        1 => (0u64..700).prop_map(|seconds| Boot::Slow(Duration::from_secs(seconds))),
        1 => Just(Boot::Never(vec!["Starting Emergency Shell".to_owned()])),
        1 => Just(Boot::Never(Vec::new())),
        1 => Just(Boot::LaunchFails("no".to_owned())),
        1 => Just(Boot::Dies),
        1 => Just(Boot::Says(vec!["Oops: 3".to_owned()])),
        1 => Just(Boot::Degraded("bar.service".to_owned())),
    ]
}

fn freeze() -> impl Strategy<Value = Freeze> {
    prop_oneof![
        4 => Just(Freeze::Ok),
        1 => (0u64..300).prop_map(|seconds| Freeze::Slow(Duration::from_secs(seconds))),
        1 => Just(Freeze::Fails("no space left".to_owned())),
        1 => Just(Freeze::Says("Oops: 4".to_owned())),
        1 => Just(Freeze::Says("Kernel panic - not syncing: x".to_owned())),
        1 => Just(Freeze::Hangs),
    ]
}

/// What a test is, what it does, how its machines boot and how its clones wake.
#[derive(Clone, Debug)]
struct Script {
    exclusive: bool,
    fresh_boot: bool,
    /// Few different ones, so that some share a template.
    memory: u64,
    config: Option<u8>,
    attempts: Vec<Vec<Step>>,
    boots: Vec<Boot>,
    wakes: Vec<Boot>,
}

fn script() -> impl Strategy<Value = Script> {
    let steps = proptest::collection::vec(step(), 0..4);
    (
        any::<bool>(),
        proptest::bool::weighted(0.1),
        (1u64..4).prop_map(|third| third * 500),
        proptest::option::weighted(0.3, 0u8..2),
        proptest::collection::vec(steps, 1..3),
        proptest::collection::vec(boot(), 1..3),
        proptest::collection::vec(boot(), 1..3),
    )
        .prop_map(
            |(exclusive, fresh_boot, memory, config, attempts, boots, wakes)| Script {
                exclusive,
                fresh_boot,
                memory,
                config,
                attempts,
                boots,
                wakes,
            },
        )
}

#[derive(Clone, Debug)]
struct Templates {
    wanted: bool,
    kept: bool,
    verified: u8,
    buckets: Buckets,
    boots: Vec<Boot>,
    freezes: Vec<Freeze>,
    boot_cpus: u32,
}

fn templates() -> impl Strategy<Value = Templates> {
    (
        proptest::bool::weighted(0.8),
        any::<bool>(),
        prop_oneof![Just(0), Just(100), Just(30)],
        prop_oneof![
            Just(Buckets::Always),
            Just(Buckets::Auto),
            Just(Buckets::Never)
        ],
        proptest::collection::vec(boot(), 1..3),
        proptest::collection::vec(freeze(), 1..3),
        0u32..3,
    )
        .prop_map(
            |(wanted, kept, verified, buckets, boots, freezes, boot_cpus)| Templates {
                wanted,
                kept,
                verified,
                buckets,
                boots,
                freezes,
                boot_cpus,
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn every_run_ends_with_one_verdict_a_test(
        scripts in proptest::collection::vec(script(), 1..12),
        templates in templates(),
        jobs in 1usize..5,
        rerun in any::<bool>(),
        infra_retries in 0u32..3,
        interrupt_after in proptest::option::of(0usize..200),
        kill_after in proptest::option::of(0usize..300),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let platform = FakePlatform::new().boot_cpus(templates.boot_cpus);
            let mut rig = Rig::new(platform);
            for (index, script) in scripts.into_iter().enumerate() {
                let name = format!("t{index}");
                let bucket = kolea_model::bucket_name(index);
                let template = format!("template/{name}");
                rig.platform = rig
                    .platform
                    .test(&name, script.attempts)
                    .boot(&name, script.boots.clone())
                    .boot(&bucket, script.boots)
                    .wake(&name, script.wakes.clone())
                    .wake(&bucket, script.wakes)
                    .boot(&template, templates.boots.clone())
                    .freeze(&template, templates.freezes.clone());
                rig = rig.with(&name, |test| {
                    test.exclusive = script.exclusive;
                    test.fresh_boot = script.fresh_boot;
                    test.needs.memory_mib = script.exclusive.then_some(script.memory);
                });
                if let Some(config) = script.config {
                    rig = rig.config(&config.to_string());
                }
            }
            rig.platform = rig
                .platform
                .boot("template/default", templates.boots.clone())
                .freeze("template/default", templates.freezes.clone());
            let platform = rig.platform.clone();
            let rig = rig.options(|options| {
                options.jobs = jobs;
                options.rerun = rerun;
                options.infra_retries = infra_retries;
                options.memory_budget_mib = Some(2000);
                options.templates = templates.wanted;
                options.keep_templates = templates.kept;
                options.verify_templates_percent = templates.verified;
                options.buckets = templates.buckets;
            });
            let mut count = 0;
            // The rig checks the events.
            let report = rig
                .run_with(Vec::new(), |control, _| {
                    count += 1;
                    if interrupt_after == Some(count) {
                        control.interrupt();
                    }
                    if kill_after == Some(count) {
                        control.kill();
                    }
                })
                .await;
            let stats = platform.stats();
            assert!(stats.peak_memory_mib <= 2000 && stats.peak_alive <= jobs, "{stats:?}");
            assert!(report.kinds().any(|kind| matches!(kind, EventKind::RunFinished { .. })));
        });
    }
}
