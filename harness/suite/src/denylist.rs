//! Denylists: tests that an image's builders know to fail, and since when (kola's `kola-denylist.yaml`).

use std::path::Path;

use crate::problem::Problem;

/// A denylist.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Denylist {
    /// Its entries, in the order they were written in.
    pub entries: Vec<DenyEntry>,
}

/// An entry.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DenyEntry {
    /// Which tests, by name.
    pub pattern: String,
    /// Where the failure is followed up: a URL, mostly.
    pub tracker: String,
    /// Streams it applies to; all if none.
    pub streams: Vec<String>,
    /// Architectures it applies to; all if none.
    pub arches: Vec<String>,
    /// Platforms it applies to; all if none.
    pub platforms: Vec<String>,
    /// The day from which on it does not apply.
    pub snooze: Option<chrono::NaiveDate>,
    /// Whether such tests run, and warn instead of failing.
    pub warn: bool,
}

impl Denylist {
    /// Reads a denylist. Whatever is wrong is in the problems, which name `path`.
    pub fn parse(text: &str, path: &Path) -> (Denylist, Vec<Problem>) {
        let _ = (text, path);
        (Denylist::default(), Vec::new())
    }
}
