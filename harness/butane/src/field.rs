//! The language the schema is written in: structs, their fields, and how Go and Ignition treat them.

/// A type of value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Kind {
    Text,
    Int,
    Bool,
    /// A list of strings.
    Texts,
    /// A mapping of strings to strings.
    Labels,
    One(&'static Struct),
    Many(&'static Struct),
}

/// When a value stands in the JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Emit {
    /// When the config says it, even if it is an empty string (a pointer in Go).
    IfSet,
    /// When it is neither empty nor 0.
    IfNotZero,
    /// Always.
    Always,
    /// Always up to this level, then `IfSet`.
    AlwaysUntil(u8),
    /// A struct that Ignition knows by a pointer up to this level: it stands even if empty and is replaced as a whole.
    PointerUntil(u8),
}

/// How a list of a parent config and that of its child become one, and whether it may hold things twice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Join {
    /// Entries with the same key are one.
    ByKey,
    /// As `ByKey`, with the keys shared by all lists of the struct that say so.
    BySharedKey,
    /// One list after the other; anything may stand twice.
    Appended,
}

/// What tells the entries of a list apart.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Key {
    /// The value of this key of the JSON.
    Of(&'static str),
    /// The number of a partition or, without one, its label.
    Partition,
}

/// A key of a struct.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Field {
    /// Its name in Butane.
    pub yaml: &'static str,
    /// Its name in Ignition; empty for what Butane alone knows.
    pub json: &'static str,
    pub kind: Kind,
    /// The level it came with: the minor version of the fcos spec.
    pub since: u8,
    pub emit: Emit,
    pub join: Join,
}

/// A struct.
#[derive(Debug)]
pub(crate) struct Struct {
    pub fields: &'static [Field],
    pub key: Key,
}

impl Struct {
    /// Whether this is the same struct, not one that looks like it.
    pub(crate) fn is(&self, other: &Struct) -> bool {
        std::ptr::eq(self, other)
    }
}

pub(crate) const fn field(yaml: &'static str, json: &'static str, kind: Kind) -> Field {
    Field {
        yaml,
        json,
        kind,
        since: 0,
        emit: Emit::IfSet,
        join: Join::ByKey,
    }
}

pub(crate) const fn text(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Kind::Text)
}

pub(crate) const fn int(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Kind::Int)
}

pub(crate) const fn bool(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Kind::Bool)
}

pub(crate) const fn texts(yaml: &'static str, json: &'static str) -> Field {
    field(yaml, json, Kind::Texts)
}

pub(crate) const fn one(yaml: &'static str, json: &'static str, kind: &'static Struct) -> Field {
    field(yaml, json, Kind::One(kind))
}

pub(crate) const fn many(yaml: &'static str, json: &'static str, kind: &'static Struct) -> Field {
    field(yaml, json, Kind::Many(kind))
}

impl Field {
    /// Whether Go has a pointer to this struct, which nothing leaves unset.
    pub(crate) fn is_pointer(&self, level: u8) -> bool {
        matches!(self.emit, Emit::PointerUntil(last) if level <= last)
    }

    pub(crate) const fn since(mut self, level: u8) -> Field {
        self.since = level;
        self
    }

    pub(crate) const fn emit(mut self, emit: Emit) -> Field {
        self.emit = emit;
        self
    }

    pub(crate) const fn join(mut self, join: Join) -> Field {
        self.join = join;
        self
    }
}

pub(crate) const fn keyed(fields: &'static [Field], key: &'static str) -> Struct {
    Struct {
        fields,
        key: Key::Of(key),
    }
}

/// A struct that never stands in a list.
pub(crate) const fn plain(fields: &'static [Field]) -> Struct {
    keyed(fields, "")
}
