//! YAML as Go's libraries read it, as values that know where they stand.
//!
//! Metadata of external tests, denylists and Butane configs are written for Go programs, and a plain scalar such as `0644` or `no`
//! means there what it means nowhere else.

mod parse;
mod value;

pub use parse::parse;
pub use value::{Node, SyntaxError, Value};
