//! Values before they have types, with the places they stand at.

use std::rc::Rc;

/// A value and where it begins.
#[derive(Clone, Debug, PartialEq)]
pub struct Node {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// The column, counted from 1 in characters.
    pub column: usize,
    /// What it is.
    pub value: Value,
}

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing: YAML's `~` or an empty value, JSON's `null`.
    Null,
    /// A boolean. `raw` is how it was spelled; YAML takes it where a string is wanted.
    Bool {
        /// Its value.
        is: bool,
        /// How it was spelled.
        raw: String,
    },
    /// A number that fits into an `i64`.
    Int {
        /// Its value.
        is: i64,
        /// How it was spelled.
        raw: String,
    },
    /// Any other number.
    Float {
        /// Its value.
        is: f64,
        /// How it was spelled.
        raw: String,
    },
    /// Text.
    Text(String),
    /// A list.
    List(Rc<Vec<Node>>),
    /// A mapping, in the order it was written in, duplicates kept.
    Map(Rc<Vec<(Node, Node)>>),
    /// Something with a YAML tag that means nothing here, such as an unquoted `!s390x`.
    Tagged {
        /// The tag, with its `!`.
        tag: String,
        /// What follows it.
        text: String,
    },
}

impl Value {
    /// How a scalar was spelled; nothing for lists, mappings and nulls.
    pub fn scalar_text(&self) -> Option<&str> {
        match self {
            Value::Bool { raw, .. } | Value::Int { raw, .. } | Value::Float { raw, .. } => {
                Some(raw)
            }
            Value::Text(text) | Value::Tagged { text, .. } => Some(text),
            Value::Null | Value::List(_) | Value::Map(_) => None,
        }
    }

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
pub struct SyntaxError {
    /// The line in the file, counted from 1.
    pub line: usize,
    /// What the parser says.
    pub message: String,
}
