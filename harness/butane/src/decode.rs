//! From YAML to a tree of the schema's types, as yaml.v3 fills Go's structs.

use std::collections::HashSet;

use kolea_yaml::{Node, Value};

use crate::field::{Field, Kind, Struct};
use crate::notes::Notes;
use crate::spec::{Spec, Variant};
use crate::tree::{Data, Place, Tree};

/// How much a config may come to when its aliases are followed, in bytes. Real ones have some KiB; a few KiB of aliases of aliases
/// can stand for more than fits into any memory.
const MOST_BYTES: usize = 64 << 20;

/// What a value weighs besides its text.
const BYTES_A_VALUE: usize = 100;

/// Reads a config.
pub(crate) fn decode(root: &Node, spec: Spec, notes: &mut Notes) -> Tree {
    let place = root_place(root);
    let mut decoder = Decoder {
        spec,
        notes,
        bytes_left: MOST_BYTES,
    };
    decoder.one(root, spec.root(), &place)
}

/// Where the config begins.
pub(crate) fn root_place(root: &Node) -> Place {
    Place {
        line: root.line,
        column: root.column,
        path: "$".into(),
    }
}

struct Decoder<'notes> {
    spec: Spec,
    notes: &'notes mut Notes,
    bytes_left: usize,
}

impl Decoder<'_> {
    /// Whether there is room for a value.
    fn weigh(&mut self, text: &str, place: &Place) -> bool {
        let weight = BYTES_A_VALUE + text.len();
        if self.bytes_left == 0 {
            return false;
        }
        match self.bytes_left.checked_sub(weight) {
            Some(left) => {
                self.bytes_left = left;
                true
            }
            None => {
                self.bytes_left = 0;
                self.notes.error(
                    place,
                    format!(
                        "the aliases make this config larger than {} MiB",
                        MOST_BYTES >> 20
                    ),
                );
                false
            }
        }
    }

    fn mismatch(&mut self, node: &Node, wanted: &str, place: &Place) {
        let found = match node.value.scalar_text() {
            Some(text) if text.len() <= 40 => format!("{} (`{text}`)", node.value.kind()),
            _ => node.value.kind().to_owned(),
        };
        self.notes
            .error(place, format!("{wanted} is needed here, not {found}"));
    }

    fn one(&mut self, node: &Node, kind: &'static Struct, place: &Place) -> Tree {
        let mut pairs = Vec::new();
        match &node.value {
            Value::Map(items) => {
                let mut known = HashSet::new();
                for (key, value) in items.iter() {
                    if !self.weigh("", place) {
                        break;
                    }
                    let Some(name) = key.value.scalar_text() else {
                        self.mismatch(
                            key,
                            "a key that is a string",
                            &place.at(key.line, key.column),
                        );
                        continue;
                    };
                    let here = place.below(name).at(key.line, key.column);
                    if !known.insert(name) {
                        self.notes
                            .error(&here, format!("key `{name}` stands here twice"));
                        continue;
                    }
                    let Some(field) = self.field(kind, name) else {
                        self.unused(kind, name, &here);
                        continue;
                    };
                    let here = here.at(value.line, value.column);
                    if let Some(tree) = self.value(value, field, &here) {
                        pairs.push((name_of(field), tree));
                    }
                }
            }
            Value::Null => {}
            _ => self.mismatch(node, "a mapping", place),
        }
        Tree::map_of(pairs, place)
    }

    fn field(&self, kind: &'static Struct, name: &str) -> Option<&'static Field> {
        kind.fields
            .iter()
            .find(|field| !name.is_empty() && field.yaml == name && field.since <= self.spec.level)
    }

    /// Butane takes keys that it does not know and warns.
    fn unused(&mut self, kind: &'static Struct, name: &str, place: &Place) {
        let spec = self.spec;
        let later = kind.fields.iter().find(|field| field.yaml == name);
        let message = match later {
            Some(field) if matches!(spec.variant, Variant::Fcos) => format!(
                "unused key `{name}`: fcos {} does not have it, 1.{}.0 and later do",
                spec.version(),
                field.since
            ),
            Some(_) => format!(
                "unused key `{name}`: {} {} does not have it",
                spec.variant.name(),
                spec.version()
            ),
            None => {
                let similar = kind.fields.iter().find(|field| {
                    let plain = |text: &str| text.replace(['_', '-'], "").to_lowercase();
                    field.since <= spec.level && plain(field.yaml) == plain(name)
                });
                match similar {
                    Some(field) => {
                        format!("unused key `{name}`: did you mean `{}`?", field.yaml)
                    }
                    None => format!("unused key `{name}`: remove it or correct its name"),
                }
            }
        };
        self.notes.warn(place, message);
    }

    /// A value of a known type; none where Go would leave the zero value.
    fn value(&mut self, node: &Node, field: &Field, place: &Place) -> Option<Tree> {
        if matches!(node.value, Value::Null) {
            if matches!(field.kind, Kind::One(_)) && !field.is_pointer(self.spec.level) {
                self.nothing(place);
            }
            return None;
        }
        let data = match field.kind {
            Kind::Text => return self.text(node, place),
            Kind::Int => Data::Int(self.int(node, place)?),
            Kind::Bool => Data::Bool(self.bool(node, place)?),
            Kind::One(kind) => return Some(self.one(node, kind, place)),
            Kind::Texts => self.list(node, place, |decoder, item, place| {
                decoder.text(item, place)
            })?,
            Kind::Many(kind) => {
                self.empty_entries(node, place);
                self.list(node, place, |decoder, item, place| {
                    decoder
                        .weigh("", place)
                        .then(|| decoder.one(item, kind, place))
                })?
            }
            Kind::Labels => self.labels(node, place)?,
        };
        self.weigh("", place).then(|| Tree::new(data, place))
    }

    /// Butane takes nothing for a mapping without keys and warns.
    fn nothing(&mut self, place: &Place) {
        self.notes.warn(
            place,
            "nothing stands here, but a mapping is wanted: fill it in or remove its key or its dash",
        );
    }

    /// Warns of entries that are nothing. Butane looks at as many entries as it has read, from the first on.
    fn empty_entries(&mut self, node: &Node, place: &Place) {
        let Value::List(items) = &node.value else {
            return;
        };
        let is_nothing = |item: &Node| matches!(item.value, Value::Null);
        let read = items.iter().filter(|item| !is_nothing(item)).count();
        for (index, item) in items.iter().take(read).enumerate() {
            if is_nothing(item) {
                self.nothing(&place.below(index).at(item.line, item.column));
            }
        }
    }

    /// A list; entries that are nothing are left out, as yaml.v3 does.
    fn list(
        &mut self,
        node: &Node,
        place: &Place,
        read: impl Fn(&mut Self, &Node, &Place) -> Option<Tree>,
    ) -> Option<Data> {
        let Value::List(items) = &node.value else {
            self.mismatch(node, "a list", place);
            return None;
        };
        let mut trees = Vec::new();
        for item in items.iter() {
            if self.bytes_left == 0 {
                break;
            }
            if matches!(item.value, Value::Null) {
                continue;
            }
            let here = place.below(trees.len()).at(item.line, item.column);
            trees.extend(read(self, item, &here));
        }
        Some(Data::List(trees))
    }

    fn labels(&mut self, node: &Node, place: &Place) -> Option<Data> {
        let Value::Map(items) = &node.value else {
            self.mismatch(node, "a mapping", place);
            return None;
        };
        let mut labels: Vec<(String, Tree)> = Vec::new();
        for (key, value) in items.iter() {
            let Some(name) = key.value.scalar_text() else {
                self.mismatch(
                    key,
                    "a key that is a string",
                    &place.at(key.line, key.column),
                );
                continue;
            };
            let here = place.below(name).at(value.line, value.column);
            labels.extend(self.text(value, &here).map(|tree| (name.to_owned(), tree)));
        }
        Some(Data::Labels(labels))
    }

    /// Text: anything that is neither a list nor a mapping, as it was spelled.
    fn text(&mut self, node: &Node, place: &Place) -> Option<Tree> {
        let text = match &node.value {
            Value::Tagged { tag, .. } if tag.ends_with("binary") => {
                self.notes.error(
                    place,
                    format!("the tag `{tag}` is not supported: use `local` for binary files"),
                );
                return None;
            }
            Value::Null => "",
            value => match value.scalar_text() {
                Some(text) => text,
                None => {
                    self.mismatch(node, "a string", place);
                    return None;
                }
            },
        };
        self.weigh(text, place).then(|| Tree::text_of(text, place))
    }

    fn int(&mut self, node: &Node, place: &Place) -> Option<i64> {
        match node.value {
            Value::Int { is, .. } => Some(is),
            // Go cuts off the fraction, and so does Butane
            #[allow(clippy::cast_possible_truncation)]
            Value::Float { is, .. } if is.is_finite() && is.abs() < 9.0e18 => Some(is as i64),
            _ => {
                self.mismatch(node, "an integer", place);
                None
            }
        }
    }

    fn bool(&mut self, node: &Node, place: &Place) -> Option<bool> {
        match &node.value {
            Value::Bool { is, .. } => Some(*is),
            // yaml.v3 still takes the words of YAML 1.1 where a boolean is wanted
            Value::Text(text)
                if ["y", "Y", "yes", "Yes", "YES", "on", "On", "ON"].contains(&&**text) =>
            {
                Some(true)
            }
            Value::Text(text)
                if ["n", "N", "no", "No", "NO", "off", "Off", "OFF"].contains(&&**text) =>
            {
                Some(false)
            }
            _ => {
                self.mismatch(node, "true or false", place);
                None
            }
        }
    }
}

/// The name a key has in the tree: that of Ignition, or Butane's own where Ignition has none.
fn name_of(field: &Field) -> &'static str {
    if field.json.is_empty() {
        field.yaml
    } else {
        field.json
    }
}
