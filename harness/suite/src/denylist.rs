//! Denylists: tests that an image's builders know to fail, and since when (kola's `kola-denylist.yaml`).

mod read;

use std::path::{Path, PathBuf};

use chrono::{DateTime, NaiveDate, Utc};
use kolea_model::TestCase;

use crate::closest::closest;
use crate::pattern::Pattern;
use crate::problem::Problem;
use crate::select::Selection;

/// The pattern that is for no test: with it, what the rules on the console find is no failure.
const SKIP_CONSOLE_WARNINGS: &str = "skip-console-warnings";

/// A denylist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denylist {
    /// The file it was read from, for messages.
    pub file: PathBuf,
    /// Its entries, in the order they were written in.
    pub entries: Vec<DenyEntry>,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyEntry {
    /// The line it begins on, counted from 1; 0 if it comes from no file.
    pub line: usize,
    /// Which tests, by name: a [`Pattern`].
    pub pattern: String,
    /// Where the failure is followed up: a URL, mostly.
    pub tracker: String,
    /// Streams it applies to; all if none.
    pub streams: Vec<String>,
    /// Architectures it applies to, by their RPM names; all if none.
    pub arches: Vec<String>,
    /// Platforms it applies to; all if none.
    pub platforms: Vec<String>,
    /// Versions of the operating system that it applies to; all if none. An old key of kola's that NestOS still has.
    pub os_versions: Vec<String>,
    /// The day (in UTC) from which on the tests run again: as warnings with `warn`, as before without.
    pub snooze: Option<NaiveDate>,
    /// Whether such tests run, once there is no snooze, and warn instead of failing.
    pub warn: bool,
}

/// What an entry does to the tests it is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// They do not run.
    Deny,
    /// They run, and warn instead of failing.
    Warn,
}

impl Denylist {
    /// Reads a denylist. Whatever is wrong is in the problems, which name `path`; an entry with an error is left out.
    ///
    /// Unknown keys are warnings, since kola passes over them; values of the wrong type, dates and patterns that are
    /// none, and entries without a pattern are errors. An empty file is an empty list.
    pub fn parse(text: &str, path: &Path) -> (Denylist, Vec<Problem>) {
        let (entries, problems) = read::entries(text, path);
        let file = path.to_path_buf();
        (Denylist { file, entries }, problems)
    }

    /// Whether an entry `pattern: skip-console-warnings` applies: what the rules on the console find is no failure
    /// then, in any test. kola does not look at the `snooze` of such an entry.
    pub fn skips_console_warnings(&self, selection: &Selection) -> bool {
        self.entries
            .iter()
            .filter(|entry| entry.pattern == SKIP_CONSOLE_WARNINGS)
            .any(|entry| entry.applies(selection) && !entry.has_expired(selection.now))
    }

    /// The entries that are for no test, which are misspelled or outlived their tests, as warnings.
    pub fn unused(&self, tests: &[TestCase]) -> Vec<Problem> {
        let unused = self.test_entries().filter(|entry| {
            // An entry that was read has a pattern that is one.
            Pattern::new(&entry.pattern).is_ok_and(|pattern| {
                !tests.iter().any(|test| {
                    pattern.matches(&test.name)
                        || test
                            .copy_of
                            .as_deref()
                            .is_some_and(|of| pattern.matches(of))
                })
            })
        });
        unused
            .map(|entry| {
                let names = tests.iter().map(|test| test.name.as_str());
                let meant = match closest(&entry.pattern, names, 1).first() {
                    Some(close) => format!("did you mean `{close}`?"),
                    None => "remove the entry".to_owned(),
                };
                let message = format!("no test is called `{}`: {meant}", entry.pattern);
                Problem::warning(&self.file, Some(entry.line), message)
            })
            .collect()
    }

    /// What is worth knowing about the entries in this run, one line each: that some do not apply since the stream is
    /// not known, and whose snooze is over.
    pub(crate) fn notes(&self, selection: &Selection) -> Vec<String> {
        let mut notes = Vec::new();
        let mut unknown = |key: &str, option: &str, count: usize| {
            if count > 0 {
                let entries = if count == 1 { "entry" } else { "entries" };
                notes.push(format!(
                    "{count} {entries} of the denylist with `{key}` cannot be applied, so the tests run: \
                     {option} is not known"
                ));
            }
        };
        let elsewhere = |entry: &&DenyEntry| entry.fits_machine(selection);
        let local: Vec<&DenyEntry> = self.entries.iter().filter(elsewhere).collect();
        if selection.stream.is_none() {
            let streams = local.iter().filter(|entry| !entry.streams.is_empty());
            unknown("streams", "the stream (--denylist-stream)", streams.count());
        }
        if selection.os_version.is_none() {
            let versions = local.iter().filter(|entry| !entry.os_versions.is_empty());
            unknown("osversion", "the version of the system", versions.count());
        }
        let expired = self.entries.iter().filter(|entry| {
            entry.applies(selection) && !entry.warn && entry.has_expired(selection.now)
        });
        notes.extend(expired.map(|entry| {
            let place = self.place(entry);
            format!(
                "{place}the snooze is over, so the tests run: {}",
                entry.rule()
            )
        }));
        notes
    }

    /// The entries that are for tests.
    pub(crate) fn test_entries(&self) -> impl Iterator<Item = &DenyEntry> {
        let special = |entry: &&DenyEntry| entry.pattern != SKIP_CONSOLE_WARNINGS;
        self.entries.iter().filter(special)
    }

    /// `file:line: `, as far as it is known.
    fn place(&self, entry: &DenyEntry) -> String {
        match (self.file.as_os_str().is_empty(), entry.line) {
            (true, _) => String::new(),
            (false, 0) => format!("{}: ", self.file.display()),
            (false, line) => format!("{}:{line}: ", self.file.display()),
        }
    }
}

impl DenyEntry {
    /// The entry in one line: its pattern, and what there is of tracker and snooze.
    pub fn rule(&self) -> String {
        let mut more = Vec::new();
        if !self.tracker.is_empty() {
            more.push(self.tracker.clone());
        }
        if let Some(day) = self.snooze {
            more.push(format!("snoozed until {day}"));
        }
        if more.is_empty() {
            format!("`{}`", self.pattern)
        } else {
            format!("`{}` ({})", self.pattern, more.join(", "))
        }
    }

    /// What the entry does in this run; nothing if it is for others, or over.
    pub(crate) fn effect(&self, selection: &Selection) -> Option<Effect> {
        if !self.applies(selection) {
            return None;
        }
        // Until its snooze ends, an entry with `warn` denies, too.
        match (self.snooze, self.has_expired(selection.now), self.warn) {
            (Some(_), false, _) | (None, _, false) => Some(Effect::Deny),
            (_, _, true) => Some(Effect::Warn),
            (Some(_), true, false) => None,
        }
    }

    fn has_expired(&self, now: DateTime<Utc>) -> bool {
        self.snooze.is_some_and(|day| now.date_naive() >= day)
    }

    fn applies(&self, selection: &Selection) -> bool {
        let known = |list: &[String], name: &Option<String>| {
            list.is_empty() || name.as_ref().is_some_and(|name| list.contains(name))
        };
        self.fits_machine(selection)
            && known(&self.streams, &selection.stream)
            && known(&self.os_versions, &selection.os_version)
    }

    fn fits_machine(&self, selection: &Selection) -> bool {
        let fits = |list: &[String], name: &String| list.is_empty() || list.contains(name);
        fits(&self.arches, &selection.arch) && fits(&self.platforms, &selection.platform)
    }
}

#[cfg(test)]
#[path = "denylist_tests.rs"]
mod tests;
