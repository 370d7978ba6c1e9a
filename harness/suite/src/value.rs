//! Metadata values before they have types, with the lines they stand on. YAML and JSON both end up here.

use std::rc::Rc;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Node {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// What it is.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Value {
    /// Nothing: YAML's `~` or an empty value, JSON's `null`.
    Null,
    /// A boolean. `raw` is how it was spelled; YAML takes it where a string is wanted.
    Bool { is: bool, raw: String },
    /// A number that fits into an `i64`.
    Int { is: i64, raw: String },
    /// Any other number.
    Float { is: f64, raw: String },
    /// Text.
    Text(String),
    /// A list.
    List(Rc<Vec<Node>>),
    /// A mapping, in the order it was written in, duplicates kept.
    Map(Rc<Vec<(Node, Node)>>),
    /// Something with a YAML tag that means nothing here, such as an unquoted `!s390x`.
    Tagged { tag: String, text: String },
}

impl Value {
    /// The word for error messages.
    pub fn kind(&self) -> &'static str {
        match self {
            Value::Null => "nothing",
            Value::Bool { .. } => "a boolean",
            Value::Int { .. } => "an integer",
            Value::Float { .. } => "a number with a fraction",
            Value::Text(_) => "a string",
            Value::List(_) => "a list",
            Value::Map(_) => "a mapping",
            Value::Tagged { .. } => "a tagged value",
        }
    }
}

/// Why a text could not be read at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct SyntaxError {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// What the parser says.
    pub message: String,
}
