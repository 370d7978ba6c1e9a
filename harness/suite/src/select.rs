//! Which of the tests run, by kola's rules, and why the others do not.

mod copies;
mod denials;
mod error;
mod rules;
mod wanted;

use chrono::{DateTime, Utc};
use kolea_model::{SkipReason, TestCase};

use crate::denylist::Denylist;
use crate::pattern::Pattern;
use crate::shard::Shard;
pub use error::SelectError;
use rules::Rules;
use wanted::Patterns;

/// What the user asked for and what the tests will meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Patterns for names, or for tags where they match no name. Any of them may match, but each must match a test;
    /// none, or a `*` among them, for everything.
    pub patterns: Vec<String>,
    /// Tags to look for: with patterns, tests that have one run besides those that match; without, only those that have
    /// one. `!tag` excludes.
    pub tags: Vec<String>,
    /// Whether tests that need the Internet are left out.
    pub no_net: bool,
    /// The platform, such as `qemu`.
    pub platform: String,
    /// The architecture, by its RPM name.
    pub arch: String,
    /// The distribution, such as `fcos`. None if only the booted machine will tell: then `distros` leaves nothing out here.
    pub distro: Option<String>,
    /// The firmware, by the names of `--qemu-firmware`; empty if it is not known: then `firmwares` leaves nothing out.
    pub firmware: String,
    /// The stream, for entries of the denylist that are for some streams only; those do not apply if it is not known.
    pub stream: Option<String>,
    /// The version of the system (`osversion` in the manifest of an older build), likewise.
    pub os_version: Option<String>,
    /// Whether tests with the tag `platform-independent` run on other platforms than qemu, too.
    pub run_platform_independent: bool,
    /// The denylist.
    pub denylist: Denylist,
    /// Patterns of tests to leave out (`--denylist-test`).
    pub denied: Vec<String>,
    /// Whether denied tests run, with their failure expected.
    pub run_denied: bool,
    /// The part of the tests to run.
    pub shard: Option<Shard>,
    /// How many copies of each test run; 0 and 1 for the test itself.
    pub multiply: u32,
    /// The time of the run, which ends snoozes and grace periods.
    pub now: DateTime<Utc>,
}

/// Whether a test of that name is denied, whatever else may be said about it: nobody needs to read it then.
pub fn denies(selection: &Selection, name: &str) -> Result<bool, SelectError> {
    let test = TestCase::new(name, kolea_model::TestSource::Native);
    let denials = denials::Denials::new(selection)?;
    Ok(!selection.run_denied && denials.denial(&test).is_some())
}

/// What becomes of a test, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Run,
    /// Nobody asked for it: neither its name nor a tag matches. In one line.
    NotAskedFor(String),
    /// It was asked for, and a rule leaves it out.
    Skip(SkipReason),
    /// It was asked for, and with it nothing would run: something about it is wrong. In one line. [`explain`] knows of no such
    /// tests; whoever has read the tree does.
    Refuse(String),
}

/// The tests that were asked for. What was not asked for is in neither list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    /// Those to run, in the order they were given in. None, if all of them are denied or in other shards: that is no
    /// error, and [`Selected::why_nothing`] says it.
    pub run: Vec<TestCase>,
    /// Those that were asked for and are left out by a rule.
    pub skipped: Vec<(TestCase, SkipReason)>,
}

impl Selected {
    /// Why nothing is left to run, in one line; none if something is.
    pub fn why_nothing(&self) -> Option<String> {
        if !self.run.is_empty() {
            return None;
        }
        let skipped = self.skipped.iter();
        let reasons = error::first_reasons(skipped.map(|(test, why)| (test.name.as_str(), why)));
        Some(format!("no test is left to run: {reasons}"))
    }
}

/// Every test, and what becomes of it: the whole truth behind [`select`]. Copies and shards included.
///
/// The tests stay in their order; copies stand where their original stood. What a failure
/// means ([`TestCase::on_failure`]) is decided, too.
pub fn explain(
    tests: Vec<TestCase>,
    selection: &Selection,
) -> Result<Vec<(TestCase, Decision)>, SelectError> {
    let tests = copies::multiply(tests, selection.multiply);
    let rules = Rules::new(selection, &tests)?;
    decide(tests, selection, &rules)
}

fn decide(
    tests: Vec<TestCase>,
    selection: &Selection,
    rules: &Rules<'_>,
) -> Result<Vec<(TestCase, Decision)>, SelectError> {
    let explained: Vec<(TestCase, Decision)> = tests
        .into_iter()
        .map(|mut test| {
            let (decision, on_failure) = rules.decide(&test);
            test.on_failure = on_failure;
            (test, decision)
        })
        .collect();
    copies::check_names(&explained, selection.multiply)?;
    Ok(explained)
}

/// Applies the rules to tests in any order, which stays as it is.
///
/// That nothing is left to run is an error, unless what is left is denied or in other shards: then the run is an empty
/// one, as in kola.
pub fn select(tests: Vec<TestCase>, selection: &Selection) -> Result<Selected, SelectError> {
    if tests.is_empty() {
        return Err(SelectError::NoTests);
    }
    let tests = copies::multiply(tests, selection.multiply);
    let rules = Rules::new(selection, &tests)?;
    let mut selected = Selected::default();
    let mut others = Vec::new();
    for (test, decision) in decide(tests, selection, &rules)? {
        match decision {
            Decision::Run => selected.run.push(test),
            Decision::Skip(reason) => selected.skipped.push((test, reason)),
            Decision::NotAskedFor(_) | Decision::Refuse(_) => others.push(test),
        }
    }
    let would_run = |(test, reason): &(TestCase, SkipReason)| {
        let shard = selection.shard;
        matches!(reason, SkipReason::Denied { .. })
            || shard.and_then(|shard| shard.exclusion(&test.name)).as_ref() == Some(reason)
    };
    if selected.run.is_empty() && !selected.skipped.iter().any(would_run) {
        // Each pattern matches a test, so where nothing was asked for, tags were.
        if selected.skipped.is_empty() {
            return Err(SelectError::NoMatch {
                pattern: format!("--tag {}", rules.tags.positive.join(",")),
                close: rules.tags.close(&others),
            });
        }
        let skipped = selected.skipped.into_iter();
        return Err(SelectError::Nothing {
            skipped: skipped.map(|(test, reason)| (test.name, reason)).collect(),
        });
    }
    Ok(selected)
}

/// The tests that the patterns ask for, by the rule of [`Selection::patterns`]; all if there are none. No other rule
/// leaves anything out.
pub fn matching(tests: Vec<TestCase>, patterns: &[String]) -> Result<Vec<TestCase>, SelectError> {
    let patterns = Patterns::new(patterns, &tests)?;
    let asked_for = |test: &TestCase| patterns.is_everything() || patterns.match_any(test);
    Ok(tests.into_iter().filter(asked_for).collect())
}

/// What is worth knowing about a selection before it runs, one line each, to be shown as warnings: entries of the
/// denylist that cannot be applied since the stream is not known, snoozes that are over, and patterns of
/// `--denylist-test` that match no test.
pub fn notes(tests: &[TestCase], selection: &Selection) -> Vec<String> {
    let mut notes = selection.denylist.notes(selection);
    for text in &selection.denied {
        // A malformed one is an error of the selection itself.
        let matched = Pattern::new(text).map_or(true, |pattern| {
            tests.iter().any(|test| pattern.matches(&test.name))
        });
        if !matched {
            notes.push(format!("--denylist-test {text}: no test is called that"));
        }
    }
    notes
}

fn compile(text: &str) -> Result<Pattern, SelectError> {
    Pattern::new(text).map_err(|error| SelectError::BadPattern {
        pattern: text.to_owned(),
        error,
    })
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;

#[cfg(test)]
#[path = "select_properties.rs"]
mod properties;
