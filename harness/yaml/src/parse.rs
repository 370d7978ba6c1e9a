//! YAML as Go's yaml.v2 reads it, since that is what the existing tests are written for: YAML 1.1 booleans and octal
//! numbers, `_` in numbers. The events come from a YAML parser; what a plain scalar means is decided here.

use std::collections::HashMap;
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use crate::{Node, SyntaxError, Value};

/// Reads the first document of `text`, whose first line is line `first_line` of its file.
///
/// No document at all is [`Value::Null`].
pub fn parse(text: &str, first_line: usize) -> Result<Node, SyntaxError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        first_line,
        line: first_line,
        column: 1,
        anchors: HashMap::new(),
    };
    builder.document()
}

struct Builder<'input> {
    parser: Parser<'input, granit_parser::StrInput<'input>>,
    first_line: usize,
    /// Where the last event began.
    line: usize,
    column: usize,
    anchors: HashMap<usize, Node>,
}

impl<'input> Builder<'input> {
    /// The next event; none at the end.
    fn next(&mut self) -> Result<Option<Event<'input>>, SyntaxError> {
        match self.parser.next_event() {
            None | Some(Ok((Event::StreamEnd, _))) => Ok(None),
            Some(Ok((event, span))) => {
                self.line = self.first_line + span.start.line().saturating_sub(1);
                self.column = span.start.col() + 1;
                Ok(Some(event))
            }
            Some(Err(error)) => Err(SyntaxError {
                line: self.first_line + error.marker().line().saturating_sub(1),
                message: error.info().replace('\n', " "),
            }),
        }
    }

    fn error(&self, message: impl Into<String>) -> SyntaxError {
        SyntaxError {
            line: self.line,
            message: message.into(),
        }
    }

    fn document(&mut self) -> Result<Node, SyntaxError> {
        let mut root = None;
        while let Some(event) = self.next()? {
            match event {
                Event::StreamStart | Event::DocumentEnd => {}
                Event::DocumentStart(..) if root.is_none() => {}
                Event::DocumentStart(..) => {
                    return Err(self.error("there is a second YAML document"));
                }
                event => root = Some(self.node(event)?),
            }
        }
        Ok(root.unwrap_or(Node {
            line: self.first_line,
            column: 1,
            value: Value::Null,
        }))
    }

    /// The next node, or none where `end` says that the collection is over.
    fn item(&mut self, end: fn(&Event<'input>) -> bool) -> Result<Option<Node>, SyntaxError> {
        match self.next()? {
            None => Err(self.error("the text ends too early")),
            Some(event) if end(&event) => Ok(None),
            Some(event) => self.node(event).map(Some),
        }
    }

    /// The node that begins with `event`. The parser itself limits how deep nodes may nest.
    fn node(&mut self, event: Event<'input>) -> Result<Node, SyntaxError> {
        let (line, column) = (self.line, self.column);
        let (anchor, value) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                (anchor, scalar(&text, style, tag.as_deref()))
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                while let Some(item) = self.item(|event| matches!(event, Event::SequenceEnd))? {
                    items.push(item);
                }
                (anchor, Value::List(Rc::new(items)))
            }
            Event::MappingStart(_, anchor, _) => {
                let mut pairs = Vec::new();
                while let Some(key) = self.item(|event| matches!(event, Event::MappingEnd))? {
                    let Some(value) = self.item(|_| false)? else {
                        break;
                    };
                    pairs.push((key, value));
                }
                (anchor, Value::Map(Rc::new(pairs)))
            }
            Event::Alias(id) => match self.anchors.get(&id) {
                // Lists and mappings are shared, not copied, so aliases of aliases stay cheap.
                Some(node) => (0, node.value.clone()),
                None => return Err(self.error("an alias stands inside its own anchor")),
            },
            _ => return Err(self.error("the YAML is malformed")),
        };
        let node = Node {
            line,
            column,
            value,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, node.clone());
        }
        Ok(node)
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Value {
    match tag {
        None if style == ScalarStyle::Plain => plain(text),
        None => Value::Text(text.to_owned()),
        // `!` alone and `!!str` both say: this is text.
        Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => {
            Value::Text(text.to_owned())
        }
        Some(tag) => Value::Tagged {
            tag: tag.original(),
            text: text.to_owned(),
        },
    }
}

/// What an unquoted scalar means (yaml.v2, resolve.go).
fn plain(text: &str) -> Value {
    let raw = || text.to_owned();
    match text {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "y" | "Y" | "yes" | "Yes" | "YES" | "true" | "True" | "TRUE" | "on" | "On" | "ON" => {
            return Value::Bool {
                is: true,
                raw: raw(),
            };
        }
        "n" | "N" | "no" | "No" | "NO" | "false" | "False" | "FALSE" | "off" | "Off" | "OFF" => {
            return Value::Bool {
                is: false,
                raw: raw(),
            };
        }
        _ => {}
    }
    if !text.starts_with(|first: char| first.is_ascii_digit() || "+-.".contains(first)) {
        return Value::Text(raw());
    }
    let digits: String = text.chars().filter(|&char| char != '_').collect();
    if let Some(is) = integer(&digits) {
        return Value::Int { is, raw: raw() };
    }
    match float(&digits) {
        Some(is) => Value::Float { is, raw: raw() },
        None => Value::Text(raw()),
    }
}

/// Go's `strconv.ParseInt` with base 0, for text without underscores.
fn integer(text: &str) -> Option<i64> {
    let (negative, body) = match text.strip_prefix('-') {
        Some(body) => (true, body),
        None => (false, text.strip_prefix('+').unwrap_or(text)),
    };
    let lower = body.to_ascii_lowercase();
    let (radix, digits) = match lower.as_bytes() {
        [b'0', b'x', ..] => (16, &lower[2..]),
        [b'0', b'o', ..] => (8, &lower[2..]),
        [b'0', b'b', ..] => (2, &lower[2..]),
        [b'0', _, ..] => (8, &lower[1..]),
        _ => (10, lower.as_str()),
    };
    // from_str_radix would take a second sign
    if !digits.starts_with(|first: char| first.is_digit(radix)) {
        return None;
    }
    let is = i128::from_str_radix(digits, radix).ok()?;
    i64::try_from(if negative { -is } else { is }).ok()
}

/// `[-+]?[0-9]*\.?[0-9]+([eE][-+][0-9]+)?`, the floats of yaml.v2.
fn float(text: &str) -> Option<f64> {
    let body = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match body.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (body, None),
    };
    let all_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = mantissa.split_once('.').unwrap_or(("", mantissa));
    let mantissa_fits = all_digits(whole) && all_digits(fraction) && !fraction.is_empty();
    let exponent_fits = exponent.is_none_or(|exponent| {
        exponent
            .strip_prefix(['-', '+'])
            .is_some_and(|digits| !digits.is_empty() && all_digits(digits))
    });
    if mantissa_fits && exponent_fits {
        text.parse().ok()
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn plain_scalars_mean_what_yaml_1_1_says() {
        let int = |text: &str| match plain(text) {
            Value::Int { is, .. } => Some(is),
            _ => None,
        };
        for (text, is) in [
            ("5", 5),
            ("-5", -5),
            ("+5", 5),
            ("0x10", 16),
            ("1_000", 1000),
            ("0644", 0o644),
            ("0o17", 0o17),
            ("0b101", 5),
            ("0", 0),
        ] {
            assert_eq!(int(text), Some(is), "{text}");
        }
        for text in ["08", "1.5", "1e+3", ".5", "-.5"] {
            assert!(matches!(plain(text), Value::Float { .. }), "{text}");
        }
        for text in [
            "2024-01-02",
            "1.2.3",
            "0x",
            "--5",
            "-",
            "5.",
            "1e3",
            "-+5",
            "0x-5",
        ] {
            assert!(matches!(plain(text), Value::Text(_)), "{text}");
        }
        for text in ["yes", "On", "TRUE", "y"] {
            assert!(
                matches!(plain(text), Value::Bool { is: true, .. }),
                "{text}"
            );
        }
        for text in ["no", "off", "False", "n"] {
            assert!(
                matches!(plain(text), Value::Bool { is: false, .. }),
                "{text}"
            );
        }
        assert_eq!(plain("~"), Value::Null);
    }

    #[test]
    fn nodes_know_their_lines() {
        let root = parse("a: 1\nb:\n  - x\n  - !s390x\n", 10).unwrap();
        let Value::Map(pairs) = root.value else {
            panic!("{root:?}")
        };
        assert_eq!((pairs[0].0.line, pairs[1].0.line), (10, 11));
        let Value::List(items) = &pairs[1].1.value else {
            panic!("{pairs:?}")
        };
        assert_eq!((items[0].line, items[1].line), (12, 13));
        assert!(matches!(&items[1].value, Value::Tagged { tag, .. } if tag == "!s390x"));
    }

    #[test]
    fn anchors_work_and_cannot_explode() {
        let mut text = String::from("a0: &a0 [x, x]\n");
        for level in 1..64 {
            let below = level - 1;
            text.push_str(&format!("a{level}: &a{level} [*a{below}, *a{below}]\n"));
        }
        assert!(parse(&text, 1).is_ok());
        assert!(parse("a: &a [*a]\n", 1).is_err());
    }

    #[test]
    fn errors_name_the_line() {
        let error = parse("a: 1\nb: [\n", 5).unwrap_err();
        assert!(error.line >= 6, "{error:?}");
        assert!(parse("a: 1\n---\nb: 2\n", 1).is_err());
        assert_eq!(parse("", 1).unwrap().value, Value::Null);
    }

    proptest! {
        #[test]
        fn no_text_makes_it_panic(text in "\\PC*") {
            let _ = parse(&text, 1);
        }

        #[test]
        fn no_yaml_like_text_makes_it_panic(text in "[-:a!&*\\[\\]{}, \n'\"|>0-9._~#%@]{0,60}") {
            let _ = parse(&text, 1);
        }

        #[test]
        fn numbers_read_as_they_were_written(number: i64) {
            prop_assert_eq!(integer(&number.to_string()), Some(number));
        }
    }
}
