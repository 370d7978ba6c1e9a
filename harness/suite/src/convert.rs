//! Keys and values of a metadata block to typed entries, by the rules of Go's decoders.

use kolea_yaml::{Node, Value};

use crate::closest::closest;
use crate::problem::Note;
use crate::schema::{KEYS, Key, Kind, find};

/// The language that the metadata is written in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Yaml,
    Json,
}

impl Dialect {
    fn find(self, name: &str) -> Option<&'static Key> {
        find(name).or_else(|| match self {
            Dialect::Yaml => None,
            // encoding/json matches names case-insensitively
            Dialect::Json => KEYS.iter().find(|key| key.name.eq_ignore_ascii_case(name)),
        })
    }
}

/// A converted value.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Typed {
    /// Nothing was given.
    Empty,
    Text(String),
    Bool(bool),
    Int(i64),
    TextList(Vec<String>),
    IntList(Vec<i64>),
}

impl Typed {
    /// Whether it says no more than a missing key does.
    pub fn is_default(&self) -> bool {
        match self {
            Typed::Empty => true,
            Typed::Text(text) => text.trim().is_empty(),
            Typed::Bool(is) => !is,
            Typed::Int(is) => *is == 0,
            Typed::TextList(items) => items.is_empty(),
            Typed::IntList(items) => items.is_empty(),
        }
    }
}

/// A key that was set.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Entry {
    pub key: &'static Key,
    pub line: usize,
    pub value: Typed,
}

/// Converts a mapping. Whatever is wrong is in the notes, and left out of the entries.
pub(crate) fn entries(root: &Node, dialect: Dialect) -> (Vec<Entry>, Vec<Note>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut notes = Vec::new();
    // JSON's nodes know their lines only
    let at = |node: &Node, note: Note| match dialect {
        Dialect::Yaml => note.at(node.column),
        Dialect::Json => note,
    };
    let pairs = match &root.value {
        Value::Map(pairs) => pairs.as_slice(),
        // YAML without a single key
        Value::Null if dialect == Dialect::Yaml => &[],
        other => {
            let message = format!(
                "the metadata must be a mapping of keys to values, and is {}",
                other.kind()
            );
            notes.push(at(root, Note::error(root.line, message)));
            &[]
        }
    };
    for (name, value) in pairs {
        let mut error = |node: &Node, message: String| {
            notes.push(at(node, Note::error(node.line, message)));
        };
        let Value::Text(text) = &name.value else {
            let kind = name.value.kind();
            error(name, format!("a key must be a string, and this is {kind}"));
            continue;
        };
        let Some(key) = dialect.find(text) else {
            error(name, unknown(text));
            continue;
        };
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let message = format!("`{text}` is given twice, first on line {}", first.line);
            error(name, message);
            continue;
        }
        match convert(&value.value, key.kind, dialect) {
            // encoding/json leaves the field alone
            Ok((Typed::Empty, _)) if dialect == Dialect::Json => {}
            Ok((typed, cut)) => {
                if let Some(raw) = cut {
                    let message = format!("`{}`: of {raw}, only the whole number counts", key.name);
                    notes.push(at(value, Note::warning(value.line, message)));
                }
                entries.push(Entry {
                    key,
                    line: name.line,
                    value: typed,
                });
            }
            Err(message) => error(value, format!("`{}`: {message}", key.name)),
        }
    }
    (entries, notes)
}

fn unknown(name: &str) -> String {
    let close = closest(name, KEYS.iter().map(|key| key.name), 1);
    match close.first() {
        Some(close) => format!("unknown key `{name}`: did you mean `{close}`?"),
        None => format!("unknown key `{name}`"),
    }
}

/// The value, and how it was spelled if a part of it is cut off.
type Converted = Result<(Typed, Option<String>), String>;

fn convert(value: &Value, kind: Kind, dialect: Dialect) -> Converted {
    let whole = |typed| Ok((typed, None));
    match (kind, value) {
        (_, Value::Null) => whole(Typed::Empty),
        (Kind::Text { .. } | Kind::Choice(_), value) => {
            whole(Typed::Text(text(value, kind, dialect)?))
        }
        (Kind::Bool, Value::Bool { is, .. }) => whole(Typed::Bool(*is)),
        (Kind::Int { .. }, value) => {
            let (is, cut) = int(value, kind, dialect)?;
            Ok((Typed::Int(is), cut))
        }
        (Kind::TextList { .. }, Value::List(items)) => {
            let items = items.iter().map(|item| text(&item.value, kind, dialect));
            whole(Typed::TextList(items.collect::<Result<_, _>>()?))
        }
        (Kind::IntList { .. }, Value::List(items)) => {
            let mut numbers = Vec::with_capacity(items.len());
            let mut first_cut = None;
            for item in items.iter() {
                let (is, cut) = int(&item.value, kind, dialect)?;
                numbers.push(is);
                first_cut = first_cut.or(cut);
            }
            Ok((Typed::IntList(numbers), first_cut))
        }
        (_, value) => Err(mismatch(value, kind)),
    }
}

fn mismatch(value: &Value, kind: Kind) -> String {
    match value {
        Value::Tagged { tag, text } => format!(
            "unquoted, `{tag}` is a YAML tag and says nothing here: write \"{}\" in quotes",
            format!("{tag} {text}").trim_end()
        ),
        other => format!("{} is wanted, and this is {}", kind.name(), other.kind()),
    }
}

fn text(value: &Value, kind: Kind, dialect: Dialect) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        // yaml.v2 takes any scalar as it was spelled
        Value::Bool { raw, .. } | Value::Int { raw, .. } | Value::Float { raw, .. }
            if dialect == Dialect::Yaml =>
        {
            Ok(raw.clone())
        }
        Value::Null => Ok(String::new()),
        other => Err(mismatch(other, kind)),
    }
}

fn int(value: &Value, kind: Kind, dialect: Dialect) -> Result<(i64, Option<String>), String> {
    match value {
        Value::Int { is, .. } => Ok((*is, None)),
        // yaml.v2 cuts the fraction off
        Value::Float { is, raw } if dialect == Dialect::Yaml && is.abs() < 9e15 => {
            Ok((*is as i64, Some(raw.clone())))
        }
        Value::Float { is, raw } if is.abs() >= 9e15 => Err(format!("{raw} is too large")),
        other => Err(mismatch(other, kind)),
    }
}
