//! Whatever happens, the events make sense.

use std::time::Duration;

use kolea_fake::{Boot, FakePlatform, Step};
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

type Script = (bool, u64, Vec<Vec<Step>>, Vec<Boot>);

fn script() -> impl Strategy<Value = Script> {
    let steps = proptest::collection::vec(step(), 0..4);
    (
        any::<bool>(),
        1u64..1500,
        proptest::collection::vec(steps, 1..3),
        proptest::collection::vec(boot(), 1..3),
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_run_ends_with_one_verdict_a_test(
        scripts in proptest::collection::vec(script(), 1..12),
        jobs in 1usize..5,
        rerun in any::<bool>(),
        infra_retries in 0u32..3,
        interrupt_after in proptest::option::of(0usize..120),
        kill_after in proptest::option::of(0usize..200),
    ) {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .start_paused(true)
            .build()
            .unwrap();
        runtime.block_on(async {
            let mut rig = Rig::new(FakePlatform::new());
            for (index, (exclusive, memory, attempts, boots)) in scripts.into_iter().enumerate() {
                let name = format!("t{index}");
                let bucket = kolea_model::bucket_name(index);
                rig.platform = rig
                    .platform
                    .test(&name, attempts)
                    .boot(&name, boots.clone())
                    .boot(&bucket, boots);
                rig = rig.with(&name, |test| {
                    test.exclusive = exclusive;
                    test.needs.memory_mib = exclusive.then_some(memory);
                });
            }
            let platform = rig.platform.clone();
            let rig = rig.options(|options| {
                options.jobs = jobs;
                options.rerun = rerun;
                options.infra_retries = infra_retries;
                options.memory_budget_mib = Some(2000);
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
