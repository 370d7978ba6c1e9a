//! Collecting what is wrong with a config.

use crate::tree::Place;
use crate::{Note, Severity};

/// How many notes are kept: a config with more faults has one that repeats.
const MOST_NOTES: usize = 1000;

/// What is wrong so far.
#[derive(Debug, Default)]
pub(crate) struct Notes {
    all: Vec<Note>,
    left_out: usize,
    is_fatal: bool,
}

impl Notes {
    pub(crate) fn error(&mut self, place: &Place, message: impl Into<String>) {
        self.add(Severity::Error, place, &message.into());
    }

    pub(crate) fn warn(&mut self, place: &Place, message: impl Into<String>) {
        self.add(Severity::Warning, place, &message.into());
    }

    /// Adds an error if there is one.
    pub(crate) fn check(&mut self, place: &Place, result: Result<(), impl Into<String>>) {
        if let Err(message) = result {
            self.error(place, message);
        }
    }

    fn add(&mut self, severity: Severity, place: &Place, message: &str) {
        self.is_fatal |= severity == Severity::Error;
        if self.all.len() >= MOST_NOTES {
            self.left_out += 1;
            return;
        }
        self.all.push(Note {
            severity,
            line: place.line,
            column: place.column,
            path: place.path.to_string(),
            // what the config says may stand in a message, line breaks and all
            message: message.replace('\n', " "),
        });
    }

    /// Whether there can be no Ignition config.
    pub(crate) fn is_fatal(&self) -> bool {
        self.is_fatal
    }

    /// All of them once, in the order of the lines.
    pub(crate) fn sorted(mut self) -> Vec<Note> {
        self.all.sort_by_key(|note| (note.line, note.column));
        self.all.dedup();
        if self.left_out > 0 {
            self.all.push(Note {
                severity: if self.is_fatal {
                    Severity::Error
                } else {
                    Severity::Warning
                },
                line: 1,
                column: 1,
                path: "$".to_owned(),
                message: format!("{} more faults are not listed", self.left_out),
            });
        }
        self.all
    }
}
