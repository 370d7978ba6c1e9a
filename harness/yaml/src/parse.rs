//! From YAML's events to values. The events come from a YAML parser; what they mean to a Go program is decided here.

use std::collections::{HashMap, HashSet};
use std::rc::Rc;

use granit_parser::{Event, Options, Parser, ScalarStyle, Tag};

use crate::scalar::plain;
use crate::{Dialect, Node, SyntaxError, Value};

/// How many keys merge keys (`<<`) may bring in altogether: far more than any config has, and few enough to fit into memory.
const MOST_MERGED_KEYS: usize = 1_000_000;

/// How deep values may nest when aliases are followed. The parser limits what is written nested; aliases of aliases are not, and
/// whoever walks or drops such a value does it on the stack.
const DEEPEST: usize = 512;

/// Reads the first document of `text`, whose first line is line `first_line` of its file, as yaml.v2 does.
///
/// No document at all is [`Value::Null`].
pub fn parse(text: &str, first_line: usize) -> Result<Node, SyntaxError> {
    parse_as(text, first_line, Dialect::V2)
}

/// Reads the first document of `text` as [`parse`] does, in the dialect of one of Go's libraries.
pub fn parse_as(text: &str, first_line: usize, dialect: Dialect) -> Result<Node, SyntaxError> {
    let mut options = Options::default();
    options.set_emit_comments(false);
    // so does libyaml, which Go's libraries are made from
    options.block_scalar_eof_without_line_feed = true;
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        dialect,
        first_line,
        line: first_line,
        column: 1,
        anchors: HashMap::new(),
        merged_keys: 0,
    };
    builder.document()
}

struct Builder<'input> {
    parser: Parser<'input, granit_parser::StrInput<'input>>,
    dialect: Dialect,
    first_line: usize,
    /// Where the last event began.
    line: usize,
    column: usize,
    /// What the anchors stand for, and how deep it nests.
    anchors: HashMap<usize, (Node, usize)>,
    merged_keys: usize,
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
                event => root = Some(self.node(event)?.0),
            }
        }
        Ok(root.unwrap_or(Node {
            line: self.first_line,
            column: 1,
            value: Value::Null,
        }))
    }

    /// The next node and how deep it nests, or none where `end` says that the collection is over.
    fn item(
        &mut self,
        end: fn(&Event<'input>) -> bool,
    ) -> Result<Option<(Node, usize)>, SyntaxError> {
        match self.next()? {
            None => Err(self.error("the text ends too early")),
            Some(event) if end(&event) => Ok(None),
            Some(event) => self.node(event).map(Some),
        }
    }

    /// The node that begins with `event`, and how deep it nests.
    fn node(&mut self, event: Event<'input>) -> Result<(Node, usize), SyntaxError> {
        let (line, column) = (self.line, self.column);
        let (anchor, value, depth) = match event {
            Event::Scalar(text, style, anchor, tag) => {
                let value = scalar(&text, style, tag.as_deref(), self.dialect);
                (anchor, value, 1)
            }
            Event::SequenceStart(_, anchor, _) => {
                let mut items = Vec::new();
                let mut deepest = 0;
                while let Some((item, depth)) =
                    self.item(|event| matches!(event, Event::SequenceEnd))?
                {
                    deepest = deepest.max(depth);
                    items.push(item);
                }
                (anchor, Value::List(Rc::new(items)), deepest + 1)
            }
            Event::MappingStart(_, anchor, _) => {
                let (pairs, deepest) = self.pairs()?;
                (anchor, Value::Map(Rc::new(pairs)), deepest + 1)
            }
            Event::Alias(id) => match self.anchors.get(&id) {
                // Lists and mappings are shared, not copied, so aliases of aliases stay cheap.
                Some((node, depth)) => (0, node.value.clone(), *depth),
                None => return Err(self.error("an alias stands inside its own anchor")),
            },
            _ => return Err(self.error("the YAML is malformed")),
        };
        if depth > DEEPEST {
            return Err(SyntaxError {
                line,
                message: format!("aliases nest values more than {DEEPEST} deep"),
            });
        }
        let node = Node {
            line,
            column,
            value,
        };
        if anchor != 0 {
            self.anchors.insert(anchor, (node.clone(), depth));
        }
        Ok((node, depth))
    }

    /// The keys and values of a mapping, after its beginning, and how deep the deepest nests. What merge keys name stands after the
    /// mapping's own keys.
    fn pairs(&mut self) -> Result<(Vec<(Node, Node)>, usize), SyntaxError> {
        let mut pairs = Vec::new();
        let mut merged = Vec::new();
        let mut deepest = 0;
        loop {
            let Some(event) = self.next()? else {
                return Err(self.error("the text ends too early"));
            };
            if event == Event::MappingEnd {
                break;
            }
            let merges = is_merge_key(&event);
            // yaml.v3 has each key of a mapping once, this one too
            if merges && !merged.is_empty() && self.dialect == Dialect::V3 {
                return Err(
                    self.error("merge key `<<` stands here twice: give it a list of mappings")
                );
            }
            let (key, key_depth) = self.node(event)?;
            let Some((value, depth)) = self.item(|_| false)? else {
                break;
            };
            deepest = deepest.max(depth).max(key_depth);
            if merges {
                merged.push(value);
            } else {
                pairs.push((key, value));
            }
        }
        if !merged.is_empty() {
            let mut known: HashSet<String> =
                pairs.iter().filter_map(|(key, _)| name(key)).collect();
            for value in &merged {
                self.merge(value, &mut known, &mut pairs)?;
            }
        }
        Ok((pairs, deepest))
    }

    /// Adds the pairs of a mapping, or of a list of mappings, whose keys are not `known` yet.
    fn merge(
        &mut self,
        from: &Node,
        known: &mut HashSet<String>,
        pairs: &mut Vec<(Node, Node)>,
    ) -> Result<(), SyntaxError> {
        let wrong = || SyntaxError {
            line: from.line,
            message: "a merge key (`<<`) needs a mapping or a list of mappings".to_owned(),
        };
        let maps: &[Node] = match &from.value {
            Value::Map(_) => std::slice::from_ref(from),
            Value::List(items) => items,
            _ => return Err(wrong()),
        };
        for map in maps {
            let Value::Map(items) = &map.value else {
                return Err(wrong());
            };
            self.merged_keys += items.len();
            if self.merged_keys > MOST_MERGED_KEYS {
                return Err(SyntaxError {
                    line: from.line,
                    message: format!("merge keys bring in more than {MOST_MERGED_KEYS} keys"),
                });
            }
            for (key, value) in items.iter() {
                if name(key).is_none_or(|name| known.insert(name)) {
                    pairs.push((key.clone(), value.clone()));
                }
            }
        }
        Ok(())
    }
}

fn is_merge_key(event: &Event<'_>) -> bool {
    match event {
        Event::Scalar(text, style, _, tag) => {
            text == "<<"
                && match tag {
                    None => *style == ScalarStyle::Plain,
                    Some(tag) => tag.is_yaml_core_schema_tag("merge"),
                }
        }
        _ => false,
    }
}

/// What a key is called, if it is a scalar.
fn name(key: &Node) -> Option<String> {
    key.value.scalar_text().map(str::to_owned)
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>, dialect: Dialect) -> Value {
    match tag {
        None if style == ScalarStyle::Plain => plain(text, dialect),
        None => Value::Text(text.to_owned()),
        // `!` alone and `!!str` both say: this is text.
        Some(tag) if tag.is_yaml_core_schema_tag("str") || tag.original() == "!" => {
            Value::Text(text.to_owned())
        }
        Some(tag) => typed(text, tag, dialect).unwrap_or_else(|| Value::Tagged {
            tag: tag.original(),
            text: text.to_owned(),
        }),
    }
}

/// A scalar whose tag says its type, as `!!int "5"` does. None if the text is not of that type.
fn typed(text: &str, tag: &Tag, dialect: Dialect) -> Option<Value> {
    let value = plain(text, dialect);
    let name = match value {
        Value::Null => "null",
        Value::Bool { .. } => "bool",
        Value::Int { .. } => "int",
        Value::Float { .. } => "float",
        _ => return None,
    };
    tag.is_yaml_core_schema_tag(name).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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
    fn tags_of_yaml_itself_say_the_type() {
        let value = |text: &str| parse(text, 1).unwrap().value;
        assert!(matches!(
            value("!!int \"0644\""),
            Value::Int { is: 0o644, .. }
        ));
        assert!(matches!(
            value("!!bool 'true'"),
            Value::Bool { is: true, .. }
        ));
        assert_eq!(value("!!str 5"), Value::Text("5".to_owned()));
        assert!(matches!(value("!!int x"), Value::Tagged { .. }));
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
    fn chains_of_aliases_end_before_the_stack_does() {
        let mut text = String::from("- &a0 [x]\n");
        for level in 1..100_000 {
            text.push_str(&format!("- &a{level} [*a{}]\n", level - 1));
        }
        let error = parse(&text, 1).unwrap_err();
        assert!(error.message.contains("512 deep"), "{error:?}");
        assert!(parse(&"[".repeat(100_000), 1).is_err());
    }

    fn keys_and_values(text: &str, dialect: Dialect) -> Vec<(String, String)> {
        let root = parse_as(text, 1, dialect).unwrap();
        let Value::Map(pairs) = &root.value else {
            panic!("{root:?}")
        };
        let Value::Map(pairs) = &pairs.last().unwrap().1.value else {
            panic!("{pairs:?}")
        };
        pairs
            .iter()
            .map(|(key, value)| (name(key).unwrap(), name(value).unwrap()))
            .collect()
    }

    #[test]
    fn merge_keys_give_way_to_a_mappings_own_keys() {
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        for dialect in [Dialect::V2, Dialect::V3] {
            let text = "a: &a {x: 1, y: 2}\nb: &b {y: 3, z: 4}\n";
            assert_eq!(
                keys_and_values(&format!("{text}c: {{<<: *a, y: 9}}\n"), dialect),
                [pair("y", "9"), pair("x", "1")]
            );
            // the first of a list wins
            assert_eq!(
                keys_and_values(&format!("{text}c: {{<<: [*a, *b]}}\n"), dialect),
                [pair("x", "1"), pair("y", "2"), pair("z", "4")]
            );
            // quotes make it a key like any other
            assert_eq!(
                keys_and_values("c: {'<<': 1}\n", dialect),
                [pair("<<", "1")]
            );
            let error = parse_as("a: 1\nb: {<<: 5}\n", 1, dialect).unwrap_err();
            assert_eq!(error.line, 2);
        }
    }

    #[test]
    fn a_second_merge_key_is_none_to_yaml_v3() {
        let text = "a: &a {x: 1}\nb: &b {y: 2}\nc:\n  <<: *a\n  <<: *b\n";
        let error = parse_as(text, 1, Dialect::V3).unwrap_err();
        assert_eq!(error.line, 5);
        assert!(error.message.contains("twice"), "{error:?}");
        assert_eq!(keys_and_values(text, Dialect::V2).len(), 2);
    }

    #[test]
    fn merge_keys_cannot_explode() {
        let many: String = (0..20_000).map(|key| format!("k{key}: 1, ")).collect();
        let mut text = format!("a: &a {{{many}}}\n");
        for copy in 0..20_000 {
            text.push_str(&format!("b{copy}: {{<<: *a}}\n"));
        }
        let error = parse(&text, 1).unwrap_err();
        assert!(error.message.contains("1000000 keys"), "{error:?}");
    }

    #[test]
    fn a_block_cut_by_the_end_of_the_text_has_no_line_feed() {
        let root = parse("|\n  text", 1).unwrap();
        assert_eq!(root.value, Value::Text("text".to_owned()));
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
    }
}
