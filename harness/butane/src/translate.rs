//! The translation of a Butane config, step by step as Butane takes them: a step that fails is the last.

use std::path::Path;

use kolea_yaml::{Dialect, Node, Value};

use crate::desugar::Context;
use crate::files::Files;
use crate::notes::Notes;
use crate::spec::{Spec, Unknown};
use crate::tree::Place;
use crate::{Translation, check, decode, desugar, ignition, json, openshift};

/// Translates a Butane config. `files_dir`: where `local` files and trees are; none are allowed without it (Butane's
/// `--files-dir`).
///
/// What Butane would say of the config is in the notes. There is an Ignition config if none of them is an error.
pub fn translate(text: &str, files_dir: Option<&Path>) -> Translation {
    let mut notes = Notes::default();
    let ignition = config(text, Files::new(files_dir), &mut notes);
    Translation {
        ignition,
        notes: notes.sorted(),
    }
}

fn config(text: &str, files: Files<'_>, notes: &mut Notes) -> Option<String> {
    let root = match kolea_yaml::parse_as(text, 1, Dialect::V3) {
        Ok(root) => root,
        Err(error) => {
            let place = Place {
                line: error.line,
                column: 1,
                path: "$".into(),
            };
            notes.error(
                &place,
                format!("the YAML cannot be read: {}", error.message),
            );
            return None;
        }
    };
    let spec = spec_of(&root, notes)?;
    let config = decode::decode(&root, spec, notes);
    if notes.is_fatal() {
        return None;
    }
    check::check(&config, spec, notes);
    if notes.is_fatal() {
        return None;
    }
    let context = Context { spec, files };
    let config = desugar::desugar(config, context, notes);
    if notes.is_fatal() {
        return None;
    }
    openshift::check_support(&config, spec, notes);
    if notes.is_fatal() {
        return None;
    }
    ignition::check(&config, spec, notes);
    if notes.is_fatal() {
        return None;
    }
    let json = json::to_json(&config, spec.root(), spec.level);
    if let Err(error) = crate::validate(&json) {
        notes.error(&decode::root_place(&root), error);
        return None;
    }
    Some(json)
}

/// The spec that the config names.
fn spec_of(root: &Node, notes: &mut Notes) -> Option<Spec> {
    let place = decode::root_place(root);
    let pairs = match &root.value {
        Value::Map(pairs) => &pairs[..],
        Value::Null => &[],
        other => {
            notes.error(
                &place,
                format!("a Butane config is a mapping, not {}", other.kind()),
            );
            return None;
        }
    };
    let find = |name: &str| {
        let found = pairs
            .iter()
            .find(|(key, _)| key.value.scalar_text() == Some(name));
        match found {
            Some((_, value)) => (
                value.value.scalar_text().unwrap_or_default(),
                place.below(name).at(value.line, value.column),
            ),
            None => ("", place.below(name)),
        }
    };
    let (variant, variant_place) = find("variant");
    let (version, version_place) = find("version");
    if variant.is_empty() {
        notes.error(
            &variant_place,
            "`variant` is required: which system the config is for, such as `fcos`",
        );
    }
    if version.is_empty() {
        notes.error(
            &version_place,
            "`version` is required: that of the specification, such as `1.5.0`",
        );
    }
    if notes.is_fatal() {
        return None;
    }
    match Spec::find(variant, version) {
        Ok(spec) => Some(spec),
        Err(Unknown::Variant(message)) => {
            notes.error(&variant_place, message);
            None
        }
        Err(Unknown::Version(message)) => {
            notes.error(&version_place, message);
            None
        }
    }
}
