//! YAML as Go's libraries read it, as values that know where they stand.
//!
//! Metadata of external tests, denylists and Butane configs are written for Go programs, and a plain scalar such as `0644` or `no`
//! means there what it means nowhere else.

mod parse;
mod scalar;
mod value;

pub use parse::{parse, parse_as};
pub use value::{Node, SyntaxError, Value};

/// Which of Go's YAML libraries is meant; they differ in what a plain scalar is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `gopkg.in/yaml.v2`, which kola reads metadata and denylists with: `yes` and `off` are booleans.
    V2,
    /// `gopkg.in/yaml.v3`, which Butane reads configs with: only `true` and `false` are.
    V3,
}
