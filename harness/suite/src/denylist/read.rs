//! From the text of a denylist to its entries, by the rules of Go's yaml.v2 without its strictness.

use std::collections::BTreeMap;
use std::path::Path;

use chrono::NaiveDate;
use kolea_yaml::{Node, Value};

use super::DenyEntry;
use crate::closest::closest;
use crate::pattern::Pattern;
use crate::problem::{Problem, Severity};

/// Every key there is.
const KEYS: [&str; 8] = [
    "pattern",
    "tracker",
    "streams",
    "arches",
    "platforms",
    "osversion",
    "snooze",
    "warn",
];

/// The entries without errors, and everything that is wrong, in the order of the lines.
pub(super) fn entries(text: &str, path: &Path) -> (Vec<DenyEntry>, Vec<Problem>) {
    let mut reader = Reader {
        path,
        problems: Vec::new(),
    };
    let entries = match kolea_yaml::parse(text, 1) {
        Ok(root) => reader.list(&root),
        Err(error) => {
            let message = format!("the denylist is not valid YAML: {}", error.message);
            reader.error(error.line, message);
            Vec::new()
        }
    };
    reader.problems.sort_by_key(|problem| problem.line);
    (entries, reader.problems)
}

struct Reader<'a> {
    path: &'a Path,
    problems: Vec<Problem>,
}

impl Reader<'_> {
    fn error(&mut self, line: usize, message: impl Into<String>) {
        let problem = Problem::error(self.path, Some(line), message);
        self.problems.push(problem);
    }

    fn warning(&mut self, line: usize, message: impl Into<String>) {
        let problem = Problem::warning(self.path, Some(line), message);
        self.problems.push(problem);
    }

    fn errors(&self) -> usize {
        let bad = |problem: &&Problem| problem.severity == Severity::Error;
        self.problems.iter().filter(bad).count()
    }

    fn list(&mut self, root: &Node) -> Vec<DenyEntry> {
        let items = match &root.value {
            Value::Null => return Vec::new(),
            Value::List(items) => items,
            other => {
                let message = format!(
                    "a denylist is a list of entries that begin with `- pattern:`, and this is {}",
                    other.kind()
                );
                self.error(root.line, message);
                return Vec::new();
            }
        };
        let mut entries = Vec::with_capacity(items.len());
        for item in items.iter() {
            let before = self.errors();
            let entry = self.entry(item);
            if self.errors() == before {
                entries.push(entry);
            }
        }
        entries
    }

    fn entry(&mut self, item: &Node) -> DenyEntry {
        let mut entry = DenyEntry {
            line: item.line,
            ..DenyEntry::default()
        };
        let Value::Map(map) = &item.value else {
            let message = format!(
                "an entry is a mapping that begins with `- pattern:`, and this is {}",
                item.value.kind()
            );
            self.error(item.line, message);
            return entry;
        };
        let found = self.gather(map);
        if !found.contains_key("pattern") {
            let message = "the entry has no `pattern`: say which tests it is for";
            self.error(item.line, message);
        }
        for (name, (line, value)) in found {
            let taken = match name.as_str() {
                "pattern" => text(value)
                    .and_then(|text| self.pattern(line, text))
                    .map(|pattern| entry.pattern = pattern),
                "tracker" => text(value).map(|text| {
                    entry.tracker = text.split_whitespace().collect::<Vec<_>>().join(" ");
                }),
                "streams" => self.names(&name, value).map(|list| entry.streams = list),
                "arches" => self.arches(&name, value).map(|list| entry.arches = list),
                "platforms" => self.names(&name, value).map(|list| entry.platforms = list),
                "osversion" => self
                    .names(&name, value)
                    .map(|list| entry.os_versions = list),
                "snooze" => text(value).and_then(|text| {
                    entry.snooze = day(&text)?;
                    Ok(())
                }),
                "warn" => flag(value).map(|is| entry.warn = is),
                _ => {
                    self.unknown(line, &name);
                    Ok(())
                }
            };
            if let Err(message) = taken {
                self.error(value.line, format!("`{name}`: {message}"));
            }
        }
        entry
    }

    /// The keys of a mapping. One that is given twice has the value given last.
    fn gather<'n>(&mut self, map: &'n [(Node, Node)]) -> BTreeMap<String, (usize, &'n Node)> {
        let mut found: BTreeMap<String, (usize, &'n Node)> = BTreeMap::new();
        for (key, value) in map.iter() {
            let name = match text(key) {
                Ok(name) => name,
                Err(message) => {
                    self.error(key.line, format!("a key: {message}"));
                    continue;
                }
            };
            if let Some((first, _)) = found.insert(name.clone(), (key.line, value)) {
                let line = key.line;
                let message = format!("`{name}` is given twice: line {first} does not count");
                self.warning(line, message);
            }
        }
        found
    }

    fn unknown(&mut self, line: usize, name: &str) {
        let meant = match closest(name, KEYS.into_iter(), 1).first() {
            Some(close) => format!(": did you mean `{close}`?"),
            None => String::new(),
        };
        self.warning(
            line,
            format!("the key `{name}` is unknown and does nothing{meant}"),
        );
    }

    /// A list of names, with a warning for each that can be no name: the entry would be for fewer runs than it seems.
    fn names(&mut self, key: &str, node: &Node) -> Result<Vec<String>, String> {
        let items = match &node.value {
            Value::Null => return Ok(Vec::new()),
            Value::List(items) => items,
            other => {
                return Err(format!(
                    "a list is wanted, as in `[a, b]`, and this is {}",
                    other.kind()
                ));
            }
        };
        let mut names = Vec::with_capacity(items.len());
        for item in items.iter() {
            let name = text(item)?;
            if name.is_empty() {
                self.warning(item.line, format!("`{key}`: an empty name matches nothing"));
            } else if name.starts_with('!') {
                let message =
                    format!("`{key}`: `{name}` matches nothing: a denylist has no `!` to exclude");
                self.warning(item.line, message);
            }
            names.push(name);
        }
        Ok(names)
    }

    fn arches(&mut self, key: &str, node: &Node) -> Result<Vec<String>, String> {
        let names = self.names(key, node)?;
        for name in &names {
            let rpm = match name.as_str() {
                "amd64" | "x86-64" => "x86_64",
                "arm64" => "aarch64",
                "ppc64el" => "ppc64le",
                _ => continue,
            };
            let message = format!("`{key}`: `{name}` matches no machine; the RPM name is `{rpm}`");
            self.warning(node.line, message);
        }
        Ok(names)
    }

    fn pattern(&mut self, line: usize, pattern: String) -> Result<String, String> {
        if pattern.is_empty() {
            return Err("it is empty: say which tests the entry is for".to_owned());
        }
        // No test's name has any, and a message is one line.
        if pattern.contains(char::is_control) {
            return Err(format!(
                "{pattern:?} has line breaks or other control characters"
            ));
        }
        if let Err(error) = Pattern::new(&pattern) {
            return Err(format!("`{pattern}` is malformed: {error}"));
        }
        if pattern.contains('/') {
            let message = format!(
                "`pattern`: `{pattern}` matches nothing: `test/function` is for parts of tests that are \
                 compiled into kola, and no test here has any"
            );
            self.warning(line, message);
        }
        Ok(pattern)
    }
}

/// yaml.v2 takes any scalar as it was spelled.
fn text(node: &Node) -> Result<String, String> {
    match &node.value {
        Value::Null => Ok(String::new()),
        Value::Text(text) => Ok(text.clone()),
        Value::Bool { raw, .. } | Value::Int { raw, .. } | Value::Float { raw, .. } => {
            Ok(raw.clone())
        }
        Value::Tagged { tag, text } => Err(format!(
            "unquoted, `{tag}` is a YAML tag and says nothing here: write \"{}\" in quotes",
            format!("{tag} {text}").trim_end()
        )),
        other => Err(format!("a string is wanted, and this is {}", other.kind())),
    }
}

fn flag(node: &Node) -> Result<bool, String> {
    match &node.value {
        Value::Null => Ok(false),
        Value::Bool { is, .. } => Ok(*is),
        other => Err(format!(
            "a boolean (true or false, without quotes) is wanted, and this is {}",
            other.kind()
        )),
    }
}

/// A day in Go's layout `2006-01-02`; none if there is none.
fn day(text: &str) -> Result<Option<NaiveDate>, String> {
    if text.is_empty() {
        return Ok(None);
    }
    // chrono takes `+2024-1-2` too
    let shape = text.len() == 10 && text.bytes().all(|b| b.is_ascii_digit() || b == b'-');
    NaiveDate::parse_from_str(text, "%Y-%m-%d")
        .ok()
        .filter(|_| shape)
        .map(Some)
        .ok_or_else(|| format!("{text:?} is no date of the form YYYY-MM-DD"))
}
