//! Ignition configs as JSON, as Go writes it: in the order of the structs, without what is empty.

use crate::field::{Emit, Field, Kind, Struct};
use crate::tree::{Data, Tree};

/// A config as JSON.
pub(crate) fn to_json(config: &Tree, kind: &'static Struct, level: u8) -> String {
    let mut json = String::new();
    object(config, kind, level, &mut json);
    json
}

fn object(tree: &Tree, kind: &'static Struct, level: u8, json: &mut String) {
    let mut separator = '{';
    for field in kind.fields.iter().filter(|field| !field.json.is_empty()) {
        let value = tree.get(field.json);
        if !stands(field, value, level) {
            continue;
        }
        json.push(separator);
        separator = ',';
        string(field.json, json);
        json.push(':');
        match value {
            Some(value) => any(value, field.kind, level, json),
            None => json.push_str(match field.kind {
                Kind::Text => "\"\"",
                Kind::Int => "0",
                Kind::Bool => "false",
                Kind::Texts | Kind::Many(_) => "[]",
                Kind::One(_) | Kind::Labels => "{}",
            }),
        }
    }
    json.push_str(if separator == '{' { "{}" } else { "}" });
}

/// Whether a key is written.
fn stands(field: &Field, value: Option<&Tree>, level: u8) -> bool {
    let is_there = value.is_some_and(|value| !value.is_empty());
    match field.emit {
        Emit::IfSet => is_there,
        Emit::Always => true,
        Emit::AlwaysUntil(last) => level <= last || is_there,
        Emit::PointerUntil(last) => is_there || (level <= last && value.is_some()),
        Emit::IfNotZero => match value.map(|value| &value.data) {
            Some(Data::Text(text)) => !text.is_empty(),
            Some(Data::Int(is)) => *is != 0,
            _ => is_there,
        },
    }
}

fn any(tree: &Tree, kind: Kind, level: u8, json: &mut String) {
    match (&tree.data, kind) {
        (Data::Text(text), _) => string(text, json),
        (Data::Int(is), _) => json.push_str(&is.to_string()),
        (Data::Bool(is), _) => json.push_str(&is.to_string()),
        (Data::List(items), kind) => {
            json.push('[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    json.push(',');
                }
                match kind {
                    Kind::Many(kind) => object(item, kind, level, json),
                    kind => any(item, kind, level, json),
                }
            }
            json.push(']');
        }
        (Data::Map(_), Kind::One(kind) | Kind::Many(kind)) => object(tree, kind, level, json),
        // no schema has this
        (Data::Map(_) | Data::Labels(_), _) => json.push_str("{}"),
    }
}

/// Text as Go's encoder writes it, which spells out what HTML would take for markup.
fn string(text: &str, json: &mut String) {
    json.push('"');
    for char in text.chars() {
        match char {
            '"' => json.push_str("\\\""),
            '\\' => json.push_str("\\\\"),
            '\n' => json.push_str("\\n"),
            '\r' => json.push_str("\\r"),
            '\t' => json.push_str("\\t"),
            '<' | '>' | '&' | '\u{2028}' | '\u{2029}' | '\0'..='\u{1f}' => {
                json.push_str(&format!("\\u{:04x}", u32::from(char)));
            }
            char => json.push(char),
        }
    }
    json.push('"');
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn text_comes_back(text: String) {
            let mut json = String::new();
            string(&text, &mut json);
            prop_assert_eq!(serde_json::from_str::<String>(&json).unwrap(), text);
        }
    }
}
