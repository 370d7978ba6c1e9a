//! The metadata keys (kola's `externalTestMeta`) and how their values are converted, by the rules of Go's decoders.

use kolea_yaml::{Node, Value};

use crate::closest::closest;
use crate::problem::Severity;

/// What a key's value is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    Text,
    Bool,
    Int,
    TextList,
    IntList,
}

impl Kind {
    fn name(self) -> &'static str {
        match self {
            Kind::Text => "a string",
            Kind::Bool => "a boolean (true or false, without quotes)",
            Kind::Int => "an integer without quotes",
            Kind::TextList => "a list of strings",
            Kind::IntList => "a list of integers",
        }
    }
}

/// A key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub name: &'static str,
    pub kind: Kind,
    /// Whether it has its effect here; a test that sets any other key cannot run.
    pub supported: bool,
}

const fn key(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        supported: true,
    }
}

const fn unsupported(name: &'static str, kind: Kind) -> Key {
    Key {
        name,
        kind,
        supported: false,
    }
}

/// Every key there is.
pub(crate) const KEYS: &[Key] = &[
    key("allowConfigWarnings", Kind::Bool),
    key("architectures", Kind::Text),
    key("conflicts", Kind::TextList),
    key("creationDate", Kind::Text),
    key("description", Kind::Text),
    key("distros", Kind::Text),
    key("exclusive", Kind::Bool),
    key("freshBoot", Kind::Bool),
    key("minDisk", Kind::Int),
    key("minMemory", Kind::Int),
    key("noInstanceCreds", Kind::Bool),
    key("platforms", Kind::Text),
    key("requiredTag", Kind::Text),
    key("tags", Kind::Text),
    key("timeoutMin", Kind::Int),
    unsupported("additionalDisks", Kind::TextList),
    unsupported("additionalNics", Kind::Int),
    unsupported("appendFirstbootKernelArgs", Kind::Text),
    unsupported("appendKernelArgs", Kind::Text),
    unsupported("bindMountHostRO", Kind::TextList),
    unsupported("bootFrom", Kind::Text),
    unsupported("injectContainer", Kind::Bool),
    unsupported("instanceType", Kind::Text),
    unsupported("numaNodes", Kind::Bool),
    unsupported("primaryDisk", Kind::Text),
    unsupported("requiredHostPorts", Kind::IntList),
];

/// The key of that name, exactly.
pub(crate) fn find(name: &str) -> Option<&'static Key> {
    KEYS.iter().find(|key| key.name == name)
}

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

/// Something wrong in the metadata.
pub(crate) type Note = (Severity, usize, String);

/// Converts a mapping. Whatever is wrong is in the notes, and left out of the entries.
pub(crate) fn entries(root: &Node, dialect: Dialect) -> (Vec<Entry>, Vec<Note>) {
    let mut entries: Vec<Entry> = Vec::new();
    let mut notes = Vec::new();
    let mut error = |line, message| notes.push((Severity::Error, line, message));
    let pairs = match &root.value {
        Value::Map(pairs) => pairs.as_slice(),
        // YAML without a single key
        Value::Null if dialect == Dialect::Yaml => &[],
        other => {
            let message = format!(
                "the metadata must be a mapping of keys to values, and is {}",
                other.kind()
            );
            error(root.line, message);
            &[]
        }
    };
    for (name, value) in pairs {
        let Value::Text(text) = &name.value else {
            error(
                name.line,
                format!("a key must be a string, and this is {}", name.value.kind()),
            );
            continue;
        };
        let Some(key) = dialect.find(text) else {
            error(name.line, unknown(text));
            continue;
        };
        if let Some(first) = entries.iter().find(|entry| entry.key == key) {
            let message = format!("`{text}` is given twice, first on line {}", first.line);
            error(name.line, message);
            continue;
        }
        match convert(&value.value, key.kind, dialect) {
            // encoding/json leaves the field alone
            Ok(Typed::Empty) if dialect == Dialect::Json => {}
            Ok(value) => entries.push(Entry {
                key,
                line: name.line,
                value,
            }),
            Err(message) => error(value.line, format!("`{}`: {message}", key.name)),
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

fn convert(value: &Value, kind: Kind, dialect: Dialect) -> Result<Typed, String> {
    match (kind, value) {
        (_, Value::Null) => Ok(Typed::Empty),
        (Kind::Text, value) => text(value, dialect).map(Typed::Text),
        (Kind::Bool, Value::Bool { is, .. }) => Ok(Typed::Bool(*is)),
        (Kind::Int, value) => int(value, dialect).map(Typed::Int),
        (Kind::TextList, Value::List(items)) => items
            .iter()
            .map(|item| text(&item.value, dialect))
            .collect::<Result<_, _>>()
            .map(Typed::TextList),
        (Kind::IntList, Value::List(items)) => items
            .iter()
            .map(|item| int(&item.value, dialect))
            .collect::<Result<_, _>>()
            .map(Typed::IntList),
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

fn text(value: &Value, dialect: Dialect) -> Result<String, String> {
    match value {
        Value::Text(text) => Ok(text.clone()),
        // yaml.v2 takes any scalar as it was spelled
        Value::Bool { raw, .. } | Value::Int { raw, .. } | Value::Float { raw, .. }
            if dialect == Dialect::Yaml =>
        {
            Ok(raw.clone())
        }
        Value::Null => Ok(String::new()),
        other => Err(mismatch(other, Kind::Text)),
    }
}

fn int(value: &Value, dialect: Dialect) -> Result<i64, String> {
    match value {
        Value::Int { is, .. } => Ok(*is),
        // yaml.v2 cuts the fraction off
        Value::Float { is, .. } if dialect == Dialect::Yaml && is.abs() < 9e15 => Ok(*is as i64),
        Value::Float { raw, .. } if !raw.contains('.') => Err(format!("{raw} is too large")),
        other => Err(mismatch(other, Kind::Int)),
    }
}
