//! Test trees to a suite: discovery, metadata, selection.
//!
//! The layout of a tree, the names of its tests and the metadata keys are those of kola's external tests. What kola
//! loses or widens without a word (an unquoted `!arch`, a metadata block cut by the end of the file, …) is a
//! [`Problem`] here, and all problems of all trees are told at once.

mod butane_program;
mod claims;
mod closest;
mod config;
mod convert;
mod data;
mod denylist;
mod fresh_boot;
mod header;
mod json;
mod json_schema;
mod lint;
mod load;
mod metadata;
mod pattern;
mod problem;
mod schema;
mod select;
mod shard;
mod tree;
mod walk;

pub use claims::config_claims;
pub use denylist::{DenyEntry, Denylist};
pub use json_schema::metadata_schema;
pub use lint::{Linted, lint};
pub use load::{LoadOptions, Suite, duplicates, load, load_with, parse_header};
pub use pattern::{Pattern, PatternError};
pub use problem::{Problem, Severity, blocking};
pub use select::{
    Decision, SelectError, Selected, Selection, denies, explain, matching, notes, select,
};
pub use shard::{Shard, ShardError};
pub use tree::TestTree;
