//! What holds of every selection, and how long a large one takes.

use super::tests::{denied, entry, names, on_qemu, test, tests};
use super::*;
use crate::denylist::DenyEntry;
use chrono::NaiveDate;
use proptest::prelude::*;

/// Ten thousand tests and fifty entries: linear, and far from being noticed. Measured without optimisation: 0.1 s, most
/// of it for making the tests.
#[test]
fn a_large_suite_takes_no_time() {
    let suite: Vec<TestCase> = (0..10_000)
        .map(|n| test(&format!("ext.core.area{}.t{n}", n % 97)))
        .collect();
    let entries = (0..50)
        .map(|n| entry(&format!("ext.core.area*.t{n}*x")))
        .collect();
    let selection = Selection {
        patterns: vec!["ext.*".to_owned()],
        ..denied(entries)
    };
    let before = std::time::Instant::now();
    assert_eq!(select(suite, &selection).unwrap().run.len(), 10_000);
    let took = before.elapsed();
    let limit = std::time::Duration::from_secs(2);
    assert!(took < limit, "{took:?}");
}

fn any_selection() -> impl Strategy<Value = Selection> {
    let pattern = || {
        prop::sample::select(vec![
            "*",
            "ext.*",
            "ext.core.*",
            "*.a",
            "slow",
            "*1",
            "ext.other.luks",
        ])
    };
    let some = || prop::collection::vec(pattern().prop_map(str::to_owned), 0..3);
    let tag = prop::sample::select(vec!["slow", "!slow", "luks", "external", "nosuch"]);
    let entries = prop::collection::vec(
        (
            pattern(),
            any::<bool>(),
            any::<bool>(),
            prop::option::of(10u32..20),
        )
            .prop_map(|(pattern, warn, stream, day)| DenyEntry {
                warn,
                streams: if stream {
                    vec!["testing".to_owned()]
                } else {
                    Vec::new()
                },
                snooze: day.and_then(|day| NaiveDate::from_ymd_opt(2026, 6, day)),
                ..entry(pattern)
            }),
        0..3,
    );
    (
        (
            some(),
            prop::collection::vec(tag.prop_map(str::to_owned), 0..2),
            some(),
            entries,
        ),
        (any::<bool>(), any::<bool>(), any::<bool>(), any::<bool>()),
        (0u32..4, prop::option::of(1u64..4)),
    )
        .prop_map(
            |(
                (patterns, tags, denied_by_hand, entries),
                (no_net, independent, run_denied, stream),
                (multiply, shard),
            )| Selection {
                patterns,
                tags,
                no_net,
                run_platform_independent: independent,
                run_denied,
                stream: stream.then(|| "testing".to_owned()),
                denied: denied_by_hand,
                multiply,
                shard: shard.map(|index| Shard { index, count: 3 }),
                ..denied(entries)
            },
        )
}

proptest! {
    /// Each test that was asked for is in one of the two lists of `select`, with the reason that `explain` gives.
    #[test]
    fn explain_and_select_agree(selection in any_selection()) {
        let explained = explain(tests(), &selection);
        let selected = select(tests(), &selection);
        match (explained, selected) {
            (Ok(explained), Ok(selected)) => {
                let copies = selection.multiply.max(1) as usize;
                prop_assert_eq!(explained.len(), tests().len() * copies);
                let run = explained.iter().filter(|(_, decision)| *decision == Decision::Run);
                prop_assert!(run.map(|(test, _)| test).eq(selected.run.iter()));
                let skipped: Vec<_> = explained.iter().filter_map(|(test, decision)| match decision {
                    Decision::Skip(reason) => Some((test.clone(), reason.clone())),
                    _ => None,
                }).collect();
                prop_assert_eq!(skipped, selected.skipped);
            }
            (Ok(explained), Err(SelectError::Nothing { .. } | SelectError::NoMatch { .. })) => {
                prop_assert!(explained.iter().all(|(_, decision)| *decision != Decision::Run));
            }
            (explained, selected) => prop_assert_eq!(explained.err(), selected.err()),
        }
    }

    /// The parts of a run together run what the whole would, and nothing twice.
    #[test]
    fn shards_are_a_partition(selection in any_selection(), count in 1u64..5) {
        let run = |shard| {
            let selection = Selection { shard, ..selection.clone() };
            select(tests(), &selection).map(|selected| {
                selected.run.into_iter().map(|test| test.name).collect::<Vec<_>>()
            })
        };
        let mut parts: Vec<String> = Vec::new();
        for index in 1..=count {
            parts.extend(run(Some(Shard { index, count })).unwrap_or_default());
        }
        let mut whole = run(None).unwrap_or_default();
        whole.sort();
        parts.sort();
        prop_assert_eq!(parts, whole);
    }
}

/// What fails runs again within the run; and asked for by name, it is in the same part as before, alone or not.
#[test]
fn a_test_stays_in_its_part_whatever_runs_with_it() {
    let part = |patterns: &[&str], index| {
        let selection = Selection {
            shard: Some(Shard { index, count: 3 }),
            ..on_qemu(patterns, &[])
        };
        select(tests(), &selection).unwrap().run
    };
    for index in 1..=3 {
        for test in part(&[], index) {
            assert_eq!(names(&part(&[&test.name], index)), [test.name.as_str()]);
        }
    }
}
