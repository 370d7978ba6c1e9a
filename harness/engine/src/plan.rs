//! Which tests share a machine, and in which order the machines start. Pure: the same suite gives the same plan.

use std::cmp::Ordering;
use std::collections::{BTreeMap, BTreeSet};

use kolea_model::{Plan, PlannedGroup, TestCase, TestSource, UserConfig, bucket_name};

use crate::order::expected_seconds;
use crate::{Case, RunOptions};

/// A machine's worth of tests.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct PlannedMachine {
    /// The only test's name, or the bucket's.
    pub name: String,
    /// Whether it is a bucket.
    pub shared: bool,
    /// The tests, as indices into the cases, in the order they run in.
    pub members: Vec<usize>,
    seconds: f64,
}

/// Says what a run of these cases would do.
pub fn plan(cases: &[Case], options: &RunOptions) -> Plan {
    describe(&machines(cases, &options.expected.tests), cases)
}

/// The plan as events and users see it.
pub(crate) fn describe(machines: &[PlannedMachine], cases: &[Case]) -> Plan {
    Plan {
        groups: machines
            .iter()
            .map(|machine| PlannedGroup {
                name: machine.name.clone(),
                tests: machine
                    .members
                    .iter()
                    .map(|index| cases[*index].test.name.clone())
                    .collect(),
                shared: machine.shared,
            })
            .collect(),
        ..Plan::default()
    }
}

/// Whether a test may share its machine: only external tests can be told apart on one.
pub(crate) fn is_shareable(test: &TestCase) -> bool {
    !test.exclusive && matches!(test.source, TestSource::External(_))
}

/// The numbers of the shareable tests' units (`kola-runext-<n>.service`): from 1, in the order of their names.
pub(crate) fn unit_numbers(cases: &[Case]) -> BTreeMap<usize, usize> {
    in_name_order(cases)
        .into_iter()
        .filter(|index| is_shareable(&cases[*index].test))
        .zip(1..)
        .collect()
}

fn in_name_order(cases: &[Case]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..cases.len()).collect();
    order.sort_by(|a, b| cases[*a].test.name.cmp(&cases[*b].test.name));
    order
}

/// Groups the cases and puts the groups in order.
pub(crate) fn machines(cases: &[Case], expected: &BTreeMap<String, f64>) -> Vec<PlannedMachine> {
    machines_with(cases, expected, &kolea_suite::config_claims)
}

fn machines_with(
    cases: &[Case],
    expected: &BTreeMap<String, f64>,
    claims: &dyn Fn(&UserConfig) -> BTreeSet<String>,
) -> Vec<PlannedMachine> {
    let mut buckets: Vec<Bucket<'_>> = Vec::new();
    let mut machines = Vec::new();
    let mut add = |name: String, shared: bool, members: Vec<usize>| {
        let seconds = expected_seconds(
            shared,
            members.iter().map(|index| {
                let test = &cases[*index].test;
                (test.name.as_str(), test.time_limit())
            }),
            expected,
        );
        machines.push(PlannedMachine {
            name,
            shared,
            members,
            seconds,
        });
    };
    for index in in_name_order(cases) {
        let test = &cases[index].test;
        if !is_shareable(test) {
            add(test.name.clone(), false, vec![index]);
            continue;
        }
        let newcomer = Newcomer {
            index,
            test,
            claims: test.config.as_ref().map(claims).unwrap_or_default(),
        };
        match buckets.iter_mut().find(|bucket| bucket.accepts(&newcomer)) {
            Some(bucket) => bucket.add(newcomer),
            None => buckets.push(Bucket::new(newcomer)),
        }
    }
    let mut number = 0;
    for bucket in buckets {
        let members: Vec<usize> = bucket.members.iter().map(|member| member.index).collect();
        match members.as_slice() {
            // As in kola, a test that shares with nobody goes by its own name.
            [only] => add(cases[*only].test.name.clone(), false, members),
            _ => {
                add(bucket_name(number), true, members);
                number += 1;
            }
        }
    }
    machines.sort_by(|a, b| {
        b.seconds
            .partial_cmp(&a.seconds)
            .unwrap_or(Ordering::Equal)
            .then_with(|| a.name.cmp(&b.name))
    });
    machines
}

/// A test that looks for a bucket.
struct Newcomer<'a> {
    index: usize,
    test: &'a TestCase,
    /// What its config writes.
    claims: BTreeSet<String>,
}

/// Tests that may share a machine.
struct Bucket<'a> {
    members: Vec<Newcomer<'a>>,
}

impl<'a> Bucket<'a> {
    fn new(first: Newcomer<'a>) -> Self {
        Bucket {
            members: vec![first],
        }
    }

    fn add(&mut self, member: Newcomer<'a>) {
        self.members.push(member);
    }

    fn accepts(&self, newcomer: &Newcomer<'_>) -> bool {
        self.members.iter().all(|member| member.tolerates(newcomer))
    }
}

impl Newcomer<'_> {
    /// Whether both may be on one machine: equal needs, neither names the other as a conflict, and their configs
    /// write different things (or are the same config).
    fn tolerates(&self, other: &Newcomer<'_>) -> bool {
        let names = |from: &TestCase, to: &TestCase| from.conflicts.contains(&to.name);
        let same_config = match (&self.test.config, &other.test.config) {
            (Some(own), Some(theirs)) => own.text == theirs.text,
            _ => false,
        };
        self.test.needs == other.test.needs
            && !names(self.test, other.test)
            && !names(other.test, self.test)
            && (same_config || self.claims.is_disjoint(&other.claims))
    }
}

#[cfg(test)]
mod tests;
