//! Copies of tests (`--multiply`), which find out how reliable a test is.

use std::collections::{HashMap, HashSet};

use kolea_model::TestCase;

use super::{Decision, SelectError};

/// `count` copies of each test, called `<name>0`, `<name>1`, …, in the tests' order; the tests themselves for a count of
/// 0 or 1.
///
/// What must not share a machine with a test must not with any copy of it, and copies of one test must not with each
/// other: each is to be an experiment of its own.
pub(super) fn multiply(tests: Vec<TestCase>, count: u32) -> Vec<TestCase> {
    if count < 2 {
        return tests;
    }
    let names: HashSet<String> = tests.iter().map(|test| test.name.clone()).collect();
    let copy_name = |name: &str, number: u32| format!("{name}{number}");
    let mut copies = Vec::with_capacity(tests.len().saturating_mul(count as usize));
    for test in tests {
        let mut conflicts = Vec::new();
        for name in &test.conflicts {
            if names.contains(name) {
                conflicts.extend((0..count).map(|number| copy_name(name, number)));
            } else {
                conflicts.push(name.clone());
            }
        }
        for number in 0..count {
            let mut copy = test.clone();
            copy.name = copy_name(&test.name, number);
            copy.conflicts.clone_from(&conflicts);
            if !test.exclusive {
                // Conflicts count both ways, so naming those that follow is enough.
                let others = number + 1..count;
                let others = others.map(|other| copy_name(&test.name, other));
                copy.conflicts.extend(others);
            }
            copy.copy_of = Some(test.name.clone());
            copies.push(copy);
        }
    }
    copies
}

/// Finds copies of two tests that have one name and would both run.
pub(super) fn check_names(
    explained: &[(TestCase, Decision)],
    multiply: u32,
) -> Result<(), SelectError> {
    let mut originals: HashMap<&str, &str> = HashMap::new();
    for (test, decision) in explained {
        let (Decision::Run, Some(original)) = (decision, test.copy_of.as_deref()) else {
            continue;
        };
        if let Some(other) = originals.insert(&test.name, original) {
            return Err(SelectError::CopyClash {
                multiply,
                name: test.name.clone(),
                tests: (other.to_owned(), original.to_owned()),
            });
        }
    }
    Ok(())
}
