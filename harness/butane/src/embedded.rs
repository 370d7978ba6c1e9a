//! Ignition configs inside of a Butane config (`ignition.config`), which Butane holds to the spec that it writes itself
//! (`ValidateIgnitionConfig` of `base/v*/util.go`).

use serde_json::Value;

use crate::field::{Field, Kind, Struct};
use crate::notes::Notes;
use crate::spec::{Spec, is_semver};
use crate::tree::{Data, Place, Tree};
use crate::{Severity, ignition};

/// Checks a config that stands at `place` of the Butane config. One of another spec than `spec`'s is not looked into.
pub(crate) fn check(text: &str, place: &Place, spec: Spec, notes: &mut Notes) {
    let value: Value = match serde_json::from_str(text) {
        Ok(value) => value,
        Err(error) => {
            return notes.error(
                place,
                format!("the embedded Ignition config is not valid JSON: {error}"),
            );
        }
    };
    let mut reader = Reader {
        level: spec.level,
        errors: Notes::default(),
        warnings: Notes::default(),
    };
    let root = Place {
        line: 1,
        column: 1,
        path: "$".into(),
    };
    let config = reader.one(&value, spec.root(), &root);
    if reader.errors.is_fatal() {
        return pass_on(reader.errors, place, notes);
    }
    let own = format!("3.{}.0", spec.ignition());
    match config
        .get("ignition")
        .and_then(|ignition| ignition.text("version"))
    {
        Some(version) if version == own => {
            let mut found = Notes::default();
            ignition::check(&config, spec, &mut found);
            pass_on(found, place, notes);
            pass_on(reader.warnings, place, notes);
        }
        Some(version) if is_semver(version) => notes.warn(
            place,
            format!(
                "the embedded Ignition config has version {version}, not {own}: nothing in it is checked"
            ),
        ),
        _ => notes.error(
            place,
            "the embedded Ignition config has no valid `ignition.version`",
        ),
    }
}

/// What is wrong with an embedded config of any spec.
pub(crate) fn fault(text: &str) -> Option<(Severity, String)> {
    let fault = crate::validate(text).err()?;
    // an Ignition newer than all of ours may well read it
    let severity = if fault.contains("is not known") {
        Severity::Warning
    } else {
        Severity::Error
    };
    Some((severity, fault))
}

/// Says at `place` of the Butane config what was found inside of the embedded one.
fn pass_on(found: Notes, place: &Place, notes: &mut Notes) {
    for note in found.sorted() {
        let message = format!(
            "in the embedded Ignition config at {}: {}",
            note.path, note.message
        );
        match note.severity {
            Severity::Error => notes.error(place, message),
            Severity::Warning => notes.warn(place, message),
        }
    }
}

/// Reads JSON as Go fills Ignition's structs.
struct Reader {
    level: u8,
    errors: Notes,
    warnings: Notes,
}

impl Reader {
    fn one(&mut self, value: &Value, kind: &'static Struct, place: &Place) -> Tree {
        let mut pairs = Vec::new();
        match value {
            Value::Object(object) => {
                for (key, value) in object {
                    let here = place.below(key);
                    let field = kind.fields.iter().find(|field| {
                        !key.is_empty() && field.json == key && field.since <= self.level
                    });
                    let Some(field) = field else {
                        self.warnings.warn(&here, format!("unused key `{key}`"));
                        continue;
                    };
                    if let Some(tree) = self.value(value, field, &here) {
                        pairs.push((field.json, tree));
                    }
                }
            }
            Value::Null => self
                .warnings
                .warn(place, "nothing stands here, but an object is wanted"),
            _ => self.mismatch("an object", place),
        }
        Tree::map_of(pairs, place)
    }

    /// A value of a known type; none where Go would leave the zero value.
    fn value(&mut self, value: &Value, field: &Field, place: &Place) -> Option<Tree> {
        let wanted = match (field.kind, value) {
            (Kind::One(_), Value::Null) if field.is_pointer(self.level) => return None,
            (Kind::One(kind), _) => return Some(self.one(value, kind, place)),
            (_, Value::Null) => return None,
            (Kind::Text, Value::String(text)) => return Some(Tree::text_of(text, place)),
            (Kind::Text, _) => "a string",
            (Kind::Int, value) => match value.as_i64() {
                Some(is) => return Some(Tree::int_of(is, place)),
                None => "an integer",
            },
            (Kind::Bool, Value::Bool(is)) => return Some(Tree::bool_of(*is, place)),
            (Kind::Bool, _) => "true or false",
            (Kind::Texts | Kind::Many(_), Value::Array(items)) => {
                let items = items
                    .iter()
                    .enumerate()
                    .filter_map(|(index, item)| self.entry(item, field.kind, &place.below(index)))
                    .collect();
                return Some(Tree::new(Data::List(items), place));
            }
            (Kind::Texts | Kind::Many(_), _) => "a list",
            // none of Ignition's values is one
            (Kind::Labels, _) => return None,
        };
        self.mismatch(wanted, place);
        None
    }

    fn entry(&mut self, item: &Value, kind: Kind, place: &Place) -> Option<Tree> {
        match (kind, item) {
            (Kind::Many(kind), _) => Some(self.one(item, kind, place)),
            (_, Value::String(text)) => Some(Tree::text_of(text, place)),
            (_, Value::Null) => Some(Tree::text_of("", place)),
            _ => {
                self.mismatch("a string", place);
                None
            }
        }
    }

    fn mismatch(&mut self, wanted: &str, place: &Place) {
        self.errors.error(place, format!("{wanted} is needed here"));
    }
}
