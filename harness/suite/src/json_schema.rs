//! The JSON schema of the metadata, for editors: the table of keys in another language.

use serde_json::{Map, Value, json};

use crate::schema::{KEYS, Key, Kind};

/// The schema (draft 2020-12) of a test's metadata, be it YAML, JSON, or a `kola.json`.
pub fn metadata_schema() -> Value {
    let properties: Map<String, Value> = KEYS
        .iter()
        .map(|key| (key.name.to_owned(), property(key)))
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Metadata of an external test",
        "description": "What a test's executable says of itself in its `## kola:` or `# kola:` block, or its directory's kola.json for it.",
        "type": "object",
        "additionalProperties": false,
        "properties": properties,
        "not": {
            "description": "`conflicts` is for tests that share a machine.",
            "properties": {
                "exclusive": {"const": true},
                "conflicts": {"minItems": 1}
            },
            "required": ["conflicts"]
        }
    })
}

fn property(key: &Key) -> Value {
    let mut property = match key.kind {
        Kind::Text { pattern } => text(pattern),
        Kind::Choice(choices) => {
            let mut choices = choices.to_vec();
            choices.push("");
            json!({"type": "string", "enum": choices})
        }
        Kind::Bool => json!({"type": "boolean", "default": key.name == "exclusive"}),
        Kind::Int { most } => json!({"type": "integer", "minimum": 0, "maximum": most}),
        Kind::TextList { pattern } => json!({"type": "array", "items": text(pattern)}),
        Kind::IntList { least, most } => json!({
            "type": "array",
            "items": {"type": "integer", "minimum": least, "maximum": most},
        }),
    };
    // its default depends on the test's name
    if key.name == "freshBoot"
        && let Some(property) = property.as_object_mut()
    {
        property.remove("default");
    }
    property["description"] = Value::from(key.about);
    property
}

fn text(pattern: Option<&str>) -> Value {
    match pattern {
        Some(pattern) => json!({"type": "string", "pattern": pattern}),
        None => json!({"type": "string"}),
    }
}

#[cfg(test)]
#[path = "json_schema_tests.rs"]
mod tests;
