//! JSON with duplicate keys kept and with what follows the value reported, as Go's decoder leaves it unread.

use std::fmt;
use std::rc::Rc;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use kolea_yaml::{Node, SyntaxError, Value};

/// Reads one value from the start of `text`, whose first line is line `first_line` of its file; gives it together
/// with what follows it.
///
/// Only the keys of the outermost mapping have lines of their own.
pub(crate) fn parse(text: &str, first_line: usize) -> Result<(Node, &str), SyntaxError> {
    let mut stream = serde_json::Deserializer::from_str(text).into_iter::<Raw>();
    match stream.next() {
        Some(Ok(Raw(value))) => {
            let rest = text.get(stream.byte_offset()..).unwrap_or_default();
            let mut node = Node {
                line: first_line,
                column: 1,
                value,
            };
            place_keys(&mut node, text, first_line);
            Ok((node, rest.trim()))
        }
        Some(Err(error)) => {
            let message = error.to_string();
            // the position is told by ours
            let message = message.split(" at line ").next().unwrap_or(&message);
            Err(SyntaxError {
                line: first_line + error.line().saturating_sub(1),
                message: format!("column {}: {message}", error.column()),
            })
        }
        None => Err(SyntaxError {
            line: first_line,
            message: "there is no JSON object".to_owned(),
        }),
    }
}

/// Gives every key of the outermost mapping the line it is on: the next place where it stands in quotes.
fn place_keys(root: &mut Node, text: &str, first_line: usize) {
    let Value::Map(pairs) = &mut root.value else {
        return;
    };
    let mut from = 0;
    for (key, value) in Rc::make_mut(pairs) {
        let Value::Text(name) = &key.value else {
            continue;
        };
        if let Some(found) = text[from..].find(&format!("\"{name}\"")) {
            from += found + name.len() + 2;
        }
        let line = first_line + text[..from].matches('\n').count();
        key.line = line;
        value.line = line;
    }
}

/// A value as it comes from serde.
struct Raw(Value);

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Raw, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

fn node(value: Value) -> Node {
    Node {
        line: 0,
        column: 1,
        value,
    }
}

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw(Value::Null))
    }

    fn visit_bool<E>(self, is: bool) -> Result<Raw, E> {
        Ok(Raw(Value::Bool {
            is,
            raw: is.to_string(),
        }))
    }

    fn visit_i64<E>(self, is: i64) -> Result<Raw, E> {
        Ok(Raw(Value::Int {
            is,
            raw: is.to_string(),
        }))
    }

    fn visit_u64<E>(self, is: u64) -> Result<Raw, E> {
        let raw = is.to_string();
        Ok(Raw(match i64::try_from(is) {
            Ok(is) => Value::Int { is, raw },
            Err(_) => Value::Float { is: is as f64, raw },
        }))
    }

    fn visit_f64<E>(self, is: f64) -> Result<Raw, E> {
        Ok(Raw(Value::Float {
            is,
            raw: is.to_string(),
        }))
    }

    fn visit_str<E>(self, text: &str) -> Result<Raw, E> {
        Ok(Raw(Value::Text(text.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(Raw(item)) = access.next_element()? {
            items.push(node(item));
        }
        Ok(Raw(Value::List(Rc::new(items))))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<Raw, A::Error> {
        let mut pairs = Vec::new();
        while let Some((key, Raw(value))) = access.next_entry::<String, Raw>()? {
            pairs.push((node(Value::Text(key)), node(value)));
        }
        Ok(Raw(Value::Map(Rc::new(pairs))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_have_lines_and_duplicates_stay() {
        let (root, rest) = parse("{\n \"a\": 1,\n \"b\": [\"a\"],\n \"a\": 2}\n junk", 1).unwrap();
        let Value::Map(pairs) = root.value else {
            panic!("{root:?}")
        };
        let lines: Vec<usize> = pairs.iter().map(|(key, _)| key.line).collect();
        assert_eq!(lines.first(), Some(&2));
        assert_eq!(pairs.len(), 3);
        assert_eq!(rest, "junk");
    }

    #[test]
    fn errors_name_the_line() {
        assert_eq!(parse("{\n \"a\": nul}", 4).unwrap_err().line, 5);
        assert!(parse("", 1).is_err());
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text, 1);
        }

        #[test]
        fn no_json_like_text_makes_it_panic(text in "[{}\\[\\]:,\"a\\\\ \nu0-9.eEtrufalsn-]{0,60}") {
            let _ = parse(&text, 1);
        }
    }
}
