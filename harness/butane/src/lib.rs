//! Butane configs to Ignition configs, and the validation of Ignition configs.
//!
//! What comes out is what `butane --raw` makes of the same config, as JSON; only the bytes of compressed contents differ, not what they
//! decompress to. The facts are those of Butane's specifications and of Ignition's.

mod boot;
mod check;
mod data_url;
mod decode;
mod desugar;
mod embedded;
mod field;
mod files;
mod go_url;
mod grub;
mod ignition;
mod json;
mod merge;
mod mode;
mod mount;
mod notes;
mod openshift;
mod schema;
mod spec;
mod storage;
mod translate;
mod tree;
mod trees;
mod unit;
mod url;
mod validate;

use std::fmt;

pub use translate::translate;
pub use validate::validate;

/// How bad a [`Note`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// There is no Ignition config.
    Error,
    /// Butane makes a config and warns, which kola takes for an error unless the test says `allowConfigWarnings`.
    Warning,
}

/// Something wrong in a Butane config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Note {
    /// How bad it is.
    pub severity: Severity,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, counted from 1.
    pub column: usize,
    /// Where in the config, as Butane writes it: `$.storage.files.0.path`.
    pub path: String,
    /// What is wrong and what to do, in one line.
    pub message: String,
}

impl fmt::Display for Note {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}:{}: {} (at {})",
            self.line, self.column, self.message, self.path
        )
    }
}

/// What came of a Butane config.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Translation {
    /// The Ignition config, as JSON in Butane's own order of keys; none if there is an error.
    pub ignition: Option<String>,
    /// Everything that is wrong, in the order of the lines.
    pub notes: Vec<Note>,
}
