//! Which of the tests run, by kola's rules, and why the others do not.

use chrono::{DateTime, Utc};
use kolea_model::{Restriction, SkipReason, TestCase};

use crate::closest::closest;
use crate::denylist::Denylist;
use crate::pattern::{Pattern, PatternError};
use crate::shard::Shard;

/// What the user asked for and what the tests will meet.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Patterns for names or tags, any of which may match; empty or a single `*` for everything.
    pub patterns: Vec<String>,
    /// Tags to look for; `!tag` excludes.
    pub tags: Vec<String>,
    /// Whether tests that need the Internet are left out.
    pub no_net: bool,
    /// The platform, such as `qemu`.
    pub platform: String,
    /// The architecture, by its RPM name.
    pub arch: String,
    /// The distribution, such as `fcos`. None if only the booted machine will tell: then `distros` leaves nothing out here.
    pub distro: Option<String>,
    /// The firmware, by the names of `--qemu-firmware`.
    pub firmware: String,
    /// The stream, for entries of the denylist that are for some streams only; those do not apply if it is not known.
    pub stream: Option<String>,
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

/// What becomes of a test, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It runs.
    Run,
    /// Nobody asked for it: neither its name nor a tag matches. In one line.
    NotAskedFor(String),
    /// It was asked for, and a rule leaves it out.
    Skip(SkipReason),
}

/// Every test, and what becomes of it: the whole truth behind [`select`]. Copies and shards included.
pub fn explain(
    tests: Vec<TestCase>,
    selection: &Selection,
) -> Result<Vec<(TestCase, Decision)>, SelectError> {
    let rules = Rules::new(selection, &tests)?;
    Ok(tests
        .into_iter()
        .map(|test| {
            let decision = if !rules.asked_for(&test) {
                Decision::NotAskedFor("no pattern".to_owned())
            } else {
                match rules.exclusion(&test) {
                    Some(reason) => Decision::Skip(reason),
                    None => Decision::Run,
                }
            };
            (test, decision)
        })
        .collect())
}

/// The tests that were asked for. What was not asked for is in neither list.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Selected {
    /// Those to run, in the order they were given in.
    pub run: Vec<TestCase>,
    /// Those that were asked for and are left out by a rule.
    pub skipped: Vec<(TestCase, SkipReason)>,
}

/// Why nothing can be selected.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SelectError {
    /// A pattern matches neither a name nor a tag.
    #[error("no test has a name or a tag that matches `{pattern}`{}", close_names(.close))]
    NoMatch {
        /// The pattern.
        pattern: String,
        /// Names that may have been meant.
        close: Vec<String>,
    },
    /// A pattern is malformed.
    #[error("the pattern `{pattern}` is malformed: {error}")]
    BadPattern {
        /// The pattern.
        pattern: String,
        /// What is wrong with it.
        error: PatternError,
    },
    /// There are no tests at all.
    #[error("there are no tests: give a directory that has tests/kola with -E")]
    NoTests,
    /// There are tests, and the rules leave none of them.
    #[error("no test is left to run{}", reasons(.skipped))]
    Nothing {
        /// Those that were asked for, and why they do not run.
        skipped: Vec<(String, SkipReason)>,
    },
}

fn close_names(close: &[String]) -> String {
    if close.is_empty() {
        "; `kolea list` shows them all".to_owned()
    } else {
        format!("; did you mean {}?", close.join(", "))
    }
}

/// The first few, since the message is one line.
fn reasons(skipped: &[(String, SkipReason)]) -> String {
    const SHOWN: usize = 3;
    if skipped.is_empty() {
        return ": none has a tag that was asked for".to_owned();
    }
    let mut parts: Vec<String> = skipped
        .iter()
        .take(SHOWN)
        .map(|(name, reason)| format!("{name} ({reason})"))
        .collect();
    if skipped.len() > SHOWN {
        parts.push(format!("{} more", skipped.len() - SHOWN));
    }
    format!(": {}", parts.join(", "))
}

/// Applies the rules to tests in any order, which stays as it is.
pub fn select(tests: Vec<TestCase>, selection: &Selection) -> Result<Selected, SelectError> {
    if tests.is_empty() {
        return Err(SelectError::NoTests);
    }
    let rules = Rules::new(selection, &tests)?;
    let mut selected = Selected::default();
    for test in tests {
        if !rules.asked_for(&test) {
            continue;
        }
        match rules.exclusion(&test) {
            Some(reason) => selected.skipped.push((test, reason)),
            None => selected.run.push(test),
        }
    }
    if selected.run.is_empty() {
        let skipped = selected.skipped.into_iter();
        return Err(SelectError::Nothing {
            skipped: skipped.map(|(test, reason)| (test.name, reason)).collect(),
        });
    }
    Ok(selected)
}

struct Rules<'a> {
    selection: &'a Selection,
    /// Empty where everything was asked for.
    patterns: Vec<Pattern>,
    positive: Vec<&'a str>,
    negative: Vec<&'a str>,
}

impl<'a> Rules<'a> {
    fn new(selection: &'a Selection, tests: &[TestCase]) -> Result<Rules<'a>, SelectError> {
        let everything = selection.patterns.iter().all(|pattern| pattern == "*");
        let texts = if everything {
            &[]
        } else {
            selection.patterns.as_slice()
        };
        let mut patterns = Vec::with_capacity(texts.len());
        for text in texts {
            let pattern = Pattern::new(text).map_err(|error| SelectError::BadPattern {
                pattern: text.clone(),
                error,
            })?;
            if !tests.iter().any(|test| matches(&pattern, test)) {
                // the wildcards say nothing about what was meant
                let wanted: String = text
                    .chars()
                    .filter(|char| !"*?[]".contains(*char))
                    .collect();
                let names = tests.iter().map(|test| test.name.as_str());
                return Err(SelectError::NoMatch {
                    pattern: text.clone(),
                    close: closest(wanted.trim_matches('.'), names, 5),
                });
            }
            patterns.push(pattern);
        }
        let (negative, positive): (Vec<&str>, Vec<&str>) = selection
            .tags
            .iter()
            .map(String::as_str)
            .partition(|tag| tag.starts_with('!'));
        Ok(Rules {
            selection,
            patterns,
            positive,
            negative: negative.iter().map(|tag| tag[1..].trim()).collect(),
        })
    }

    /// By a pattern, or, without patterns, by a tag where tags were given.
    fn asked_for(&self, test: &TestCase) -> bool {
        if !self.patterns.is_empty() {
            return self.patterns.iter().any(|pattern| matches(pattern, test));
        }
        self.positive.is_empty()
            || self
                .positive
                .iter()
                .any(|tag| test.has_tag(tag) || test.required_tag.as_deref() == Some(tag))
    }

    /// The first rule that leaves the test out, in kola's order.
    fn exclusion(&self, test: &TestCase) -> Option<SkipReason> {
        let deselected = |rule: String| Some(SkipReason::Deselected { rule });
        let not_applicable = |rule: String| Some(SkipReason::NotApplicable { rule });
        if self.selection.no_net && test.needs.internet {
            return deselected("--no-net, and the test has the tag needs-internet".to_owned());
        }
        if let Some(tag) = self.negative.iter().find(|tag| test.has_tag(tag)) {
            return deselected(format!("--tag !{tag}"));
        }
        if let Some(tag) = test.required_tag.as_deref()
            && !self.positive.contains(&tag)
        {
            return deselected(format!("it runs only with --tag {tag}"));
        }
        // such tests would say the same everywhere, so one platform is enough
        if test.has_tag("platform-independent") && self.selection.platform != "qemu" {
            return not_applicable("tag platform-independent: runs on qemu only".to_owned());
        }
        [
            ("platforms", &test.platforms, &self.selection.platform),
            ("architectures", &test.architectures, &self.selection.arch),
            (
                "distros",
                &test.distros,
                self.selection.distro.as_ref().unwrap_or(&String::new()),
            ),
        ]
        .into_iter()
        .find(|(_, restriction, name)| !name.is_empty() && !restriction.allows(name))
        .and_then(|(key, restriction, _)| {
            not_applicable(format!("{key}: {}", as_written(restriction)))
        })
    }
}

fn matches(pattern: &Pattern, test: &TestCase) -> bool {
    pattern.matches(&test.name) || test.tags.iter().any(|tag| pattern.matches(tag))
}

fn as_written(restriction: &Restriction) -> String {
    let mut parts = Vec::new();
    if !restriction.include.is_empty() {
        parts.push(restriction.include.join(" "));
    }
    if !restriction.exclude.is_empty() {
        parts.push(format!("!{}", restriction.exclude.join(" ")));
    }
    parts.join(", ")
}

#[cfg(test)]
#[path = "select_tests.rs"]
mod tests;
