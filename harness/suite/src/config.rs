//! The configs beside tests: Butane to Ignition, Ignition checked, each file once however many directories share it.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use crate::butane_program;
use crate::problem::{Note, Severity};
use crate::walk::{ConfigFile, Identity};

/// What came of a config.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Rendered {
    /// The Ignition config; none if there is an error.
    pub text: Option<Arc<str>>,
    /// What is wrong. A line of 0 stands for the file as a whole.
    pub notes: Vec<Note>,
}

impl Rendered {
    fn failed(note: Note) -> Rendered {
        Rendered {
            text: None,
            notes: vec![note],
        }
    }
}

/// The configs of all trees.
#[derive(Debug, Default)]
pub(crate) struct Configs {
    /// What translates Butane configs instead of kolea itself.
    butane_program: Option<PathBuf>,
    known: HashMap<Identity, Rc<Rendered>>,
}

impl Configs {
    pub fn new(butane_program: Option<PathBuf>) -> Configs {
        Configs {
            butane_program,
            known: HashMap::new(),
        }
    }

    /// `config.ign`.
    pub fn ignition(&mut self, file: &ConfigFile) -> Rc<Rendered> {
        self.rendered(file, |_, text| checked(text))
    }

    /// `config.bu`.
    pub fn butane(&mut self, file: &ConfigFile) -> Rc<Rendered> {
        let program = self.butane_program.clone();
        self.rendered(file, |path, text| {
            // where a shared config really is, is where its author put the files that it names
            let real = match fs::read_link(path) {
                Ok(_) => path.canonicalize().unwrap_or_else(|_| path.to_path_buf()),
                // no symlink, as most configs: one look is enough
                Err(_) => path.to_path_buf(),
            };
            let files_dir = real.parent();
            match &program {
                Some(program) => butane_program::translate(program, path, files_dir),
                None => translated(&text, files_dir),
            }
        })
    }

    fn rendered(
        &mut self,
        file: &ConfigFile,
        render: impl FnOnce(&Path, String) -> Rendered,
    ) -> Rc<Rendered> {
        let rendered = self.known.entry(file.identity).or_insert_with(|| {
            Rc::new(match fs::read_to_string(&file.path) {
                Ok(text) => render(&file.path, text),
                Err(error) => Rendered::failed(Note::error(0, format!("cannot be read: {error}"))),
            })
        });
        Rc::clone(rendered)
    }
}

/// Translates a Butane config with what is built in.
fn translated(text: &str, files_dir: Option<&Path>) -> Rendered {
    let translation = kolea_butane::translate(text, files_dir);
    let notes = translation.notes.into_iter().map(|note| {
        let message = match note.path.as_str() {
            "" | "$" => note.message,
            path => format!("{} (at {path})", note.message),
        };
        Note {
            severity: match note.severity {
                kolea_butane::Severity::Error => Severity::Error,
                kolea_butane::Severity::Warning => Severity::Warning,
            },
            line: note.line,
            column: Some(note.column),
            message,
        }
    });
    Rendered {
        text: translation.ignition.map(Arc::from),
        notes: notes.collect(),
    }
}

/// Checks an Ignition config.
pub(crate) fn checked(text: String) -> Rendered {
    match kolea_butane::validate(&text) {
        Ok(()) => Rendered {
            text: Some(Arc::from(text)),
            notes: Vec::new(),
        },
        Err(message) => Rendered::failed(placed(&message)),
    }
}

/// A message of serde_json that ends with its place, without it: the place is told before the message.
fn placed(message: &str) -> Note {
    let place = message.rsplit_once(" at line ").and_then(|(rest, place)| {
        let (line, column) = place.split_once(" column ")?;
        Some((rest, line.parse().ok()?, column.parse().ok()?))
    });
    match place {
        Some((rest, line, column)) => {
            Note::error(usize::max(line, 1), rest).at(usize::max(column, 1))
        }
        None => Note::error(0, message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_move_to_the_front() {
        let note = placed("it is not valid JSON: expected `:` at line 3 column 7");
        assert_eq!((note.line, note.column), (3, Some(7)));
        assert_eq!(note.message, "it is not valid JSON: expected `:`");
        for text in ["no place", "at the end at line x column 2", ""] {
            assert_eq!(placed(text), Note::error(0, text));
        }
    }

    #[test]
    fn an_ignition_config_is_checked() {
        let good = checked("{\"ignition\": {\"version\": \"3.4.0\"}}".to_owned());
        assert!(good.text.is_some() && good.notes.is_empty());
        let bad = checked("{\"ignition\":\n}".to_owned());
        assert_eq!(bad.text, None);
        assert_eq!(bad.notes[0].line, 2);
    }
}
