//! Metadata of one test: typed, checked, and with everything that is wrong in it.

use std::time::Duration;

use chrono::{DateTime, Days, NaiveDate, Utc};
use kolea_model::Restriction;

use crate::closest::closest;
use crate::header::Block;
use crate::json;
use crate::problem::Severity;
use crate::schema::{Dialect, Entry, Note, Typed, entries};

/// How long after `creationDate` a failure is only a warning, in days of 24 hours (kola's rule).
const GRACE_DAYS: u64 = 30;
/// Longer time limits than this, in minutes, are typing errors: a year.
const MOST_MINUTES: u64 = 366 * 24 * 60;

/// What a test's metadata says.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Metadata {
    pub description: String,
    pub tags: Vec<String>,
    pub required_tag: Option<String>,
    pub architectures: Restriction,
    pub platforms: Restriction,
    pub distros: Restriction,
    pub exclusive: bool,
    /// The tests, and the line they are named on.
    pub conflicts: Vec<String>,
    pub conflicts_line: usize,
    pub timeout: Option<Duration>,
    pub memory_mib: Option<u64>,
    pub disk_gib: Option<u64>,
    /// `freshBoot`, if it is said.
    pub fresh_boot: Option<bool>,
    pub grace_until: Option<DateTime<Utc>>,
    /// What the test asks for and cannot get yet: line and words for the message.
    pub unsupported: Vec<(usize, String)>,
}

impl Default for Metadata {
    fn default() -> Self {
        Metadata {
            description: String::new(),
            tags: Vec::new(),
            required_tag: None,
            architectures: Restriction::default(),
            platforms: Restriction::default(),
            distros: Restriction::default(),
            exclusive: true,
            conflicts: Vec::new(),
            conflicts_line: 0,
            timeout: None,
            memory_mib: None,
            disk_gib: None,
            fresh_boot: None,
            grace_until: None,
            unsupported: Vec::new(),
        }
    }
}

/// Reads a block. Whatever is wrong is in the notes, and as if it were not there in the metadata.
pub(crate) fn parse(block: &Block) -> (Metadata, Vec<Note>) {
    let (line, root) = match block {
        Block::Yaml { line, text } => {
            (*line, kolea_yaml::parse(text, *line).map(|root| (root, "")))
        }
        Block::Json { line, text } => (*line, json::parse(text, *line)),
    };
    let dialect = match block {
        Block::Yaml { .. } => Dialect::Yaml,
        Block::Json { .. } => Dialect::Json,
    };
    let (root, rest) = match root {
        Ok(read) => read,
        Err(error) => {
            let format = match dialect {
                Dialect::Yaml => "YAML",
                Dialect::Json => "JSON",
            };
            let message = format!("the metadata is not valid {format}: {}", error.message);
            return (
                Metadata::default(),
                vec![(Severity::Error, error.line, message)],
            );
        }
    };
    let (entries, mut notes) = entries(&root, dialect);
    if !rest.is_empty() {
        let message = "text after the JSON object is ignored: remove it".to_owned();
        notes.push((Severity::Warning, line, message));
    }
    let mut reader = Reader {
        metadata: Metadata::default(),
        notes,
        machine_options: Vec::new(),
    };
    for entry in &entries {
        reader.take(entry);
    }
    reader.check();
    (reader.metadata, reader.notes)
}

struct Reader {
    metadata: Metadata,
    notes: Vec<Note>,
    /// Options that only a machine of one's own can have, and their lines.
    machine_options: Vec<(&'static str, usize)>,
}

impl Reader {
    fn error(&mut self, line: usize, message: impl Into<String>) {
        self.notes.push((Severity::Error, line, message.into()));
    }

    fn warning(&mut self, line: usize, message: impl Into<String>) {
        self.notes.push((Severity::Warning, line, message.into()));
    }

    fn take(&mut self, entry: &Entry) {
        let line = entry.line;
        let name = entry.key.name;
        if !entry.key.supported {
            if !entry.value.is_default() {
                let message = format!("`{name}` is not supported yet");
                self.metadata.unsupported.push((line, message));
            }
            return;
        }
        match (name, &entry.value) {
            ("exclusive", Typed::Bool(is)) => self.metadata.exclusive = *is,
            ("exclusive", Typed::Empty) => {
                self.warning(
                    line,
                    "`exclusive` without a value means false: write it down",
                );
                self.metadata.exclusive = false;
            }
            ("freshBoot", Typed::Bool(is)) => self.metadata.fresh_boot = Some(*is),
            ("freshBoot", Typed::Empty) => {
                self.warning(
                    line,
                    "`freshBoot` without a value means false: write it down",
                );
                self.metadata.fresh_boot = Some(false);
            }
            ("description", Typed::Text(text)) => {
                self.metadata.description = text.split_whitespace().collect::<Vec<_>>().join(" ");
            }
            ("tags", Typed::Text(text)) => self.tags(line, text),
            ("requiredTag", Typed::Text(text)) => {
                self.metadata.required_tag = Some(text.trim())
                    .filter(|tag| !tag.is_empty())
                    .map(str::to_owned);
            }
            ("architectures", Typed::Text(text)) => {
                self.metadata.architectures = self.restriction(line, name, text);
                self.check_architectures(line);
            }
            ("platforms", Typed::Text(text)) => {
                self.metadata.platforms = self.restriction(line, name, text);
            }
            ("distros", Typed::Text(text)) => {
                self.metadata.distros = self.restriction(line, name, text);
            }
            ("conflicts", Typed::TextList(names)) => {
                self.metadata.conflicts.clone_from(names);
                self.metadata.conflicts_line = line;
            }
            ("timeoutMin", Typed::Int(is)) => {
                let minutes = self.positive(line, name, *is);
                if minutes.is_some_and(|minutes| minutes > MOST_MINUTES) {
                    self.error(line, format!("`{name}`: {is} minutes are more than a year"));
                } else {
                    self.metadata.timeout =
                        minutes.map(|minutes| Duration::from_secs(minutes * 60));
                }
            }
            ("minMemory", Typed::Int(is)) => {
                self.metadata.memory_mib = self.positive(line, name, *is);
                self.machine_option(entry);
            }
            ("minDisk", Typed::Int(is)) => {
                self.metadata.disk_gib = self.positive(line, name, *is);
                self.machine_option(entry);
            }
            ("noInstanceCreds", _) => self.machine_option(entry),
            ("creationDate", Typed::Text(text)) => self.creation_date(line, text),
            _ => {}
        }
    }

    fn machine_option(&mut self, entry: &Entry) {
        if !entry.value.is_default() {
            self.machine_options.push((entry.key.name, entry.line));
        }
    }

    /// 0 means the default, as in kola.
    fn positive(&mut self, line: usize, name: &str, is: i64) -> Option<u64> {
        if is < 0 {
            self.error(line, format!("`{name}`: {is} is negative"));
        }
        u64::try_from(is).ok().filter(|is| *is > 0)
    }

    fn tags(&mut self, line: usize, text: &str) {
        self.metadata.tags = text.split_whitespace().map(str::to_owned).collect();
        if self.metadata.tags.iter().any(|tag| tag.starts_with('!')) {
            self.error(
                line,
                "`tags`: a tag must not start with `!`, which excludes tags on the command line",
            );
        }
        if self.metadata.tags.iter().any(|tag| tag == "secure-boot") {
            let message = "the tag `secure-boot` asks for firmware that is not supported yet";
            self.metadata.unsupported.push((line, message.to_owned()));
        }
    }

    /// A list of names; a `!` before the first excludes all of them.
    fn restriction(&mut self, line: usize, name: &str, text: &str) -> Restriction {
        let text = text.trim();
        let (excludes, list) = match text.strip_prefix('!') {
            Some(list) => (true, list),
            None => (false, text),
        };
        let names: Vec<String> = list.split_whitespace().map(str::to_owned).collect();
        if excludes && names.is_empty() {
            self.error(line, format!("`{name}`: nothing follows the `!`"));
        }
        if names.iter().any(|name| name.starts_with('!')) {
            self.error(
                line,
                format!(
                    "`{name}`: a `!` at the start excludes the whole list and cannot stand elsewhere"
                ),
            );
        }
        if names.iter().any(|name| name.contains(',')) {
            self.error(
                line,
                format!("`{name}`: names are separated by spaces, not commas"),
            );
        }
        if excludes {
            Restriction {
                include: Vec::new(),
                exclude: names,
            }
        } else {
            Restriction {
                include: names,
                exclude: Vec::new(),
            }
        }
    }

    /// Names from other worlds would exclude nothing, or everything.
    fn check_architectures(&mut self, line: usize) {
        let restriction = &self.metadata.architectures;
        let other = restriction
            .include
            .iter()
            .chain(&restriction.exclude)
            .find_map(|name| match name.as_str() {
                "amd64" | "x86-64" => Some((name.clone(), "x86_64")),
                "arm64" => Some((name.clone(), "aarch64")),
                "ppc64el" => Some((name.clone(), "ppc64le")),
                _ => None,
            });
        if let Some((name, rpm)) = other {
            self.warning(
                line,
                format!("`architectures`: `{name}` matches no machine; the RPM name is `{rpm}`"),
            );
        }
    }

    fn creation_date(&mut self, line: usize, text: &str) {
        if text.is_empty() {
            return;
        }
        // chrono takes `+2024-1-2` too
        let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
        let date = NaiveDate::parse_from_str(text, "%Y-%m-%d")
            .ok()
            .filter(|_| shape);
        let end = date
            .and_then(|date| date.checked_add_days(Days::new(GRACE_DAYS)))
            .and_then(|date| date.and_hms_opt(0, 0, 0));
        match end {
            Some(end) => self.metadata.grace_until = Some(end.and_utc()),
            None => self.error(
                line,
                format!("`creationDate`: {text:?} is no date of the form YYYY-MM-DD"),
            ),
        }
    }

    /// What concerns more than one key.
    fn check(&mut self) {
        if self.metadata.exclusive {
            if !self.metadata.conflicts.is_empty() {
                self.error(
                    self.metadata.conflicts_line,
                    "`conflicts` is for tests that share a machine: add `exclusive: false` or remove it",
                );
            }
            return;
        }
        for (name, line) in std::mem::take(&mut self.machine_options) {
            self.error(
                line,
                format!("`{name}` needs a machine of its own: remove it or `exclusive: false`"),
            );
        }
    }
}

/// A conflict that names no test: the message, with the test that may have been meant.
pub(crate) fn unknown_conflict<'a>(name: &str, tests: impl Iterator<Item = &'a str>) -> String {
    let close = closest(name, tests, 1);
    match close.first() {
        Some(close) => {
            format!("`conflicts`: there is no test `{name}`: did you mean `{close}`?")
        }
        None => format!("`conflicts`: there is no test `{name}`"),
    }
}

#[cfg(test)]
#[path = "metadata_tests.rs"]
mod tests;
