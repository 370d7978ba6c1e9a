//! The schema is in the documents as it is, and the metadata of the trees that the project ships is valid by it.

use super::*;
use crate::header::{Block, scan};
use kolea_yaml::{Node, Value as Yaml};
use std::fs;
use std::path::{Path, PathBuf};

fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

#[test]
fn the_documented_schema_is_the_current_one() {
    let text = fs::read_to_string(repository().join("docs/metadata.schema.json")).unwrap();
    let documented: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        documented,
        metadata_schema(),
        "run: kolea lint --print-schema > docs/metadata.schema.json"
    );
}

#[test]
fn the_keys_are_sorted_and_have_descriptions() {
    assert!(KEYS.is_sorted_by(|a, b| a.name < b.name));
    assert_eq!(KEYS.len(), 26);
    for key in KEYS {
        assert!(key.about.ends_with('.'), "{}", key.name);
    }
}

fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Bool { is, .. } => Value::from(*is),
        Yaml::Int { is, .. } => Value::from(*is),
        Yaml::Float { is, .. } => Value::from(*is),
        Yaml::Text(text) => Value::from(text.as_str()),
        Yaml::List(items) => items.iter().map(json).collect(),
        Yaml::Map(pairs) => {
            let pairs = pairs.iter().map(|(key, value)| match &key.value {
                Yaml::Text(key) => (key.clone(), json(value)),
                other => panic!("{other:?}"),
            });
            Value::Object(pairs.collect())
        }
        Yaml::Tagged { .. } => panic!("{node:?}"),
    }
}

/// The words of JSON schema that ours has for a single value, but for patterns.
fn fits(value: &Value, schema: &Value) -> bool {
    let of_type = match schema["type"].as_str() {
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("integer") => value.is_i64(),
        Some("array") => value
            .as_array()
            .is_some_and(|items| items.iter().all(|item| fits(item, &schema["items"]))),
        _ => false,
    };
    let one_of = schema["enum"]
        .as_array()
        .is_none_or(|all| all.contains(value));
    let least = schema["minimum"]
        .as_i64()
        .is_none_or(|least| value.as_i64() >= Some(least));
    let most = schema["maximum"]
        .as_i64()
        .is_none_or(|most| value.as_i64() <= Some(most));
    of_type && one_of && least && most
}

/// The files of a directory and of those below it.
fn files(dir: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(dir).unwrap().flatten() {
        let kind = entry.file_type().unwrap();
        if kind.is_dir() {
            files(&entry.path(), into);
        } else if kind.is_file() {
            into.push(entry.path());
        }
    }
}

#[test]
fn shipped_metadata_is_valid() {
    let schema = metadata_schema();
    let mut paths = Vec::new();
    for tree in ["core", "selftest"] {
        files(&repository().join("tests-external").join(tree), &mut paths);
    }
    let mut seen = 0;
    for path in paths {
        let bytes = fs::read(&path).unwrap();
        let Some(Block::Yaml { line, text }) = scan(&bytes).block else {
            continue;
        };
        let metadata = json(&kolea_yaml::parse(&text, line).unwrap());
        for (key, value) in metadata.as_object().unwrap() {
            let property = &schema["properties"][key];
            assert!(fits(value, property), "{}: {key}: {value}", path.display());
        }
        seen += 1;
    }
    assert!(seen >= 30, "{seen}");
}
