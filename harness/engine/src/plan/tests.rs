use std::collections::BTreeSet;
use std::path::PathBuf;
use std::time::Duration;

use kolea_model::{ExternalTest, PlannedGroup, TestSource, UserConfig, is_bucket_name};
use proptest::prelude::*;

use super::*;
use crate::Expected;

fn external(name: &str) -> TestCase {
    let source = TestSource::External(ExternalTest {
        executable: PathBuf::from(format!("/tests/{name}")),
        data: None,
    });
    TestCase {
        exclusive: false,
        ..TestCase::new(name, source)
    }
}

fn exclusive(name: &str) -> TestCase {
    TestCase {
        exclusive: true,
        ..external(name)
    }
}

fn with_config(name: &str, claims: &str) -> TestCase {
    TestCase {
        config: Some(UserConfig {
            path: PathBuf::from("config.ign"),
            text: claims.into(),
        }),
        ..external(name)
    }
}

/// In these tests a config's text is the list of what it claims.
fn claims(config: &UserConfig) -> BTreeSet<String> {
    config.text.split_whitespace().map(str::to_owned).collect()
}

fn planned(tests: Vec<TestCase>, expected: &[(&str, f64)]) -> Vec<PlannedGroup> {
    let cases: Vec<Case> = tests
        .into_iter()
        .map(|test| Case { test, native: None })
        .collect();
    let options = RunOptions {
        expected: Expected {
            tests: expected
                .iter()
                .map(|(name, seconds)| ((*name).to_owned(), *seconds))
                .collect(),
            ..Expected::default()
        },
        jobs: 2,
        buckets: Buckets::Always,
        ..RunOptions::default()
    };
    layout(&cases, &options, &[]).describe(&cases).groups
}

fn layout(cases: &[Case], options: &RunOptions, cached: &[usize]) -> Layout {
    let cached = cached.iter().copied().collect();
    Planner::with(cases, options, None, &claims).layout(&cached)
}

fn names(groups: &[PlannedGroup]) -> Vec<(&str, Vec<&str>)> {
    groups
        .iter()
        .map(|group| {
            (
                group.name.as_str(),
                group.tests.iter().map(String::as_str).collect(),
            )
        })
        .collect()
}

#[test]
fn tests_that_may_share_do_in_the_order_of_their_names() {
    let groups = planned(vec![external("c"), exclusive("x"), external("a")], &[]);
    assert_eq!(
        names(&groups),
        [
            ("non-exclusive-test-bucket-0", vec!["a", "c"]),
            ("x", vec!["x"])
        ]
    );
    assert!(groups[0].shared && !groups[1].shared);
}

#[test]
fn a_test_that_shares_with_nobody_goes_by_its_own_name() {
    let groups = planned(vec![external("a"), exclusive("x")], &[]);
    assert_eq!(
        names(&groups),
        [("a", vec!["a"]), ("x", vec!["x"])]
            .into_iter()
            .rev()
            .collect::<Vec<_>>()
    );
    assert!(groups.iter().all(|group| !group.shared));
}

#[test]
fn conflicts_count_both_ways() {
    let mut a = external("a");
    a.conflicts = vec!["c".into(), "no-such-test".into()];
    let groups = planned(vec![a, external("b"), external("c"), external("d")], &[]);
    assert_eq!(
        names(&groups),
        [
            ("non-exclusive-test-bucket-0", vec!["a", "b", "d"]),
            ("c", vec!["c"])
        ]
    );
}

#[test]
fn configs_that_write_the_same_thing_are_kept_apart_unless_they_are_the_same() {
    let groups = planned(
        vec![
            with_config("a", "/etc/x"),
            with_config("b", "/etc/x /etc/y"),
            with_config("c", "/etc/x"),
            with_config("d", "/etc/z"),
        ],
        &[],
    );
    assert_eq!(
        names(&groups),
        [
            ("non-exclusive-test-bucket-0", vec!["a", "c", "d"]),
            ("b", vec!["b"])
        ]
    );
}

#[test]
fn only_equal_needs_share() {
    let mut online = external("b");
    online.needs.internet = true;
    let mut unchecked = external("c");
    unchecked.needs.skip_base_checks = true;
    let groups = planned(vec![external("a"), online, unchecked], &[]);
    assert_eq!(groups.len(), 3);
}

#[test]
fn the_longest_expected_starts_first() {
    let mut patient = exclusive("patient");
    patient.timeout = Some(Duration::from_secs(3600));
    let groups = planned(
        vec![exclusive("b"), exclusive("a"), exclusive("slow"), patient],
        &[("slow", 500.0), ("b", 1.0)],
    );
    let order: Vec<&str> = groups.iter().map(|group| group.name.as_str()).collect();
    assert_eq!(order, ["slow", "patient", "a", "b"]);
}

#[test]
fn units_are_numbered_by_name() {
    let cases: Vec<Case> = [external("c"), exclusive("b"), external("a")]
        .into_iter()
        .map(|test| Case { test, native: None })
        .collect();
    assert_eq!(unit_numbers(&cases), BTreeMap::from([(2, 1), (0, 2)]));
}

prop_compose! {
    fn some_test()(
        number in 0usize..1000,
        exclusive in any::<bool>(),
        internet in any::<bool>(),
        conflicts in proptest::collection::vec(0usize..40, 0..4),
        claimed in proptest::collection::vec(0usize..6, 0..3),
    ) -> (usize, bool, bool, Vec<usize>, Vec<usize>) {
        (number, exclusive, internet, conflicts, claimed)
    }
}

proptest! {
    #[test]
    fn every_test_once_and_no_two_that_conflict_together(
        specs in proptest::collection::vec(some_test(), 0..40),
    ) {
        let tests: Vec<TestCase> = specs
            .iter()
            .enumerate()
            .map(|(index, (_, exclusive, internet, conflicts, claimed))| {
                let text: Vec<String> = claimed.iter().map(|claim| format!("/{claim}")).collect();
                let mut test = with_config(&format!("t{index}"), &text.join(" "));
                test.exclusive = *exclusive;
                test.needs.internet = *internet;
                test.conflicts = conflicts.iter().map(|other| format!("t{other}")).collect();
                test
            })
            .collect();
        let groups = planned(tests.clone(), &[]);
        let mut seen: Vec<String> = groups.iter().flat_map(|group| group.tests.clone()).collect();
        seen.sort();
        let mut all: Vec<String> = tests.iter().map(|test| test.name.clone()).collect();
        all.sort();
        prop_assert_eq!(seen, all);
        let find = |name: &String| tests.iter().find(|test| test.name == *name).unwrap();
        for group in &groups {
            prop_assert_eq!(group.shared, group.tests.len() > 1);
            prop_assert_eq!(group.shared, is_bucket_name(&group.name));
            for one in &group.tests {
                for other in group.tests.iter().filter(|other| *other != one) {
                    let (one, other) = (find(one), find(other));
                    prop_assert!(!one.exclusive && !one.conflicts.contains(&other.name));
                    prop_assert_eq!(&one.needs, &other.needs);
                    let (mine, theirs) = (one.config.as_ref().unwrap(), other.config.as_ref().unwrap());
                    prop_assert!(mine.text == theirs.text || claims(mine).is_disjoint(&claims(theirs)));
                }
            }
        }
        let mut reversed = tests.clone();
        reversed.reverse();
        prop_assert_eq!(planned(reversed, &[]), groups);
    }
}
