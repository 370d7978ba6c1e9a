//! Go's `filepath.Match`, the patterns that test names are selected by.

use std::fmt;

/// A pattern: `*` any characters but `/`, `?` one of them, `[a-z]` and `[^a]` one of a set, `\` takes the next
/// character as it is. It must match the whole name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    parts: Vec<Part>,
    /// The characters that a name must begin with; the first `literal` parts.
    prefix: String,
    literal: usize,
    /// The characters that what follows must end with.
    suffix: String,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Star,
    Any,
    One(char),
    Set {
        negated: bool,
        ranges: Vec<(char, char)>,
    },
}

/// Why a pattern is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PatternError {
    /// `[` without its `]`, or an empty set.
    #[error("a `[` has no matching `]`, or nothing between them")]
    Set,
    /// `\` at the end.
    #[error("a `\\` stands at the end")]
    Escape,
}

impl Part {
    fn matches(&self, char: char) -> bool {
        match self {
            Part::Star | Part::Any => char != '/',
            Part::One(own) => *own == char,
            Part::Set { negated, ranges } => {
                ranges
                    .iter()
                    .any(|(low, high)| (*low..=*high).contains(&char))
                    != *negated
            }
        }
    }
}

/// One end of a range: not `-` or `]` unless escaped.
fn range_end(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<char, PatternError> {
    match chars.next() {
        None | Some('-' | ']') => Err(PatternError::Set),
        Some('\\') => chars.next().ok_or(PatternError::Escape),
        Some(char) => Ok(char),
    }
}

fn set(chars: &mut std::iter::Peekable<std::str::Chars<'_>>) -> Result<Part, PatternError> {
    let negated = chars.next_if_eq(&'^').is_some();
    let mut ranges = Vec::new();
    while ranges.is_empty() || chars.next_if_eq(&']').is_none() {
        let low = range_end(chars)?;
        let high = match chars.next_if_eq(&'-') {
            Some(_) => range_end(chars)?,
            None => low,
        };
        ranges.push((low, high));
    }
    Ok(Part::Set { negated, ranges })
}

impl Pattern {
    /// Compiles the pattern.
    pub fn new(text: &str) -> Result<Pattern, PatternError> {
        let mut parts = Vec::new();
        let mut chars = text.chars().peekable();
        while let Some(char) = chars.next() {
            parts.push(match char {
                // `**` means what `*` does
                '*' if parts.last() == Some(&Part::Star) => continue,
                '*' => Part::Star,
                '?' => Part::Any,
                '[' => set(&mut chars)?,
                '\\' => Part::One(chars.next().ok_or(PatternError::Escape)?),
                char => Part::One(char),
            });
        }
        let one = |part: &Part| match part {
            Part::One(char) => Some(*char),
            _ => None,
        };
        let prefix: String = parts.iter().map_while(one).collect();
        let literal = prefix.chars().count();
        let mut suffix: Vec<char> = parts.iter().skip(literal).rev().map_while(one).collect();
        suffix.reverse();
        Ok(Pattern {
            text: text.to_owned(),
            prefix,
            literal,
            suffix: suffix.into_iter().collect(),
            parts,
        })
    }

    /// The pattern as it was written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether all of `name` fits. Takes at most (length of the pattern) × (length of the name) steps.
    pub fn matches(&self, name: &str) -> bool {
        // Most names fit most patterns not at all, which their ends tell at once.
        let Some(rest) = name.strip_prefix(&self.prefix) else {
            return false;
        };
        if !rest.ends_with(&self.suffix) {
            return false;
        }
        // Where to go on when what follows the last `*` does not fit: the part after it, and the rest of the name.
        let mut retry: Option<(usize, std::str::Chars<'_>)> = None;
        let mut part = self.literal;
        let mut rest = rest.chars();
        loop {
            match self.parts.get(part) {
                Some(Part::Star) => {
                    part += 1;
                    retry = Some((part, rest.clone()));
                    continue;
                }
                Some(own) => {
                    let mut ahead = rest.clone();
                    if ahead.next().is_some_and(|char| own.matches(char)) {
                        rest = ahead;
                        part += 1;
                        continue;
                    }
                }
                None if rest.as_str().is_empty() => return true,
                None => {}
            }
            // let the last `*` take one character more
            let Some((after, from)) = retry.as_mut() else {
                return false;
            };
            if from.next().is_none_or(|char| char == '/') {
                return false;
            }
            part = *after;
            rest = from.clone();
        }
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The table of Go's path/filepath/match_test.go, as far as it is about this syntax.
    #[test]
    fn it_matches_what_go_matches() {
        for (pattern, name, expected) in [
            ("abc", "abc", true),
            ("*", "abc", true),
            ("*c", "abc", true),
            ("a*", "a", true),
            ("a*", "abc", true),
            ("a*", "ab/c", false),
            ("a*/b", "abc/b", true),
            ("a*/b", "a/c/b", false),
            ("a*b*c*d*e*/f", "axbxcxdxe/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/f", true),
            ("a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false),
            ("a*b*c*d*e*/f", "axbxcxdxexxx/fff", false),
            ("a*b?c*x", "abxbbxdbxebxczzx", true),
            ("a*b?c*x", "abxbbxdbxebxczzy", false),
            ("ab[c]", "abc", true),
            ("ab[b-d]", "abc", true),
            ("ab[e-g]", "abc", false),
            ("ab[^c]", "abc", false),
            ("ab[^b-d]", "abc", false),
            ("ab[^e-g]", "abc", true),
            ("a\\*b", "a*b", true),
            ("a\\*b", "ab", false),
            ("a?b", "a☺b", true),
            ("a[^a]b", "a☺b", true),
            ("a???b", "a☺b", false),
            ("a[^a][^a][^a]b", "a☺b", false),
            ("[a-ζ]*", "α", true),
            ("*[a-ζ]", "A", false),
            ("a?b", "a/b", false),
            ("a*b", "a/b", false),
            ("[\\]a]", "]", true),
            ("[\\-]", "-", true),
            ("[x\\-]", "x", true),
            ("[x\\-]", "z", false),
            ("[\\-x]", "a", false),
            ("*x", "xxx", true),
            ("", "", true),
            ("*", "", true),
            ("?", "", false),
        ] {
            let compiled = Pattern::new(pattern).unwrap();
            assert_eq!(compiled.matches(name), expected, "{pattern} {name}");
        }
        for bad in [
            "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[", "[^", "[^bc", "a[", "\\", "a\\", "[\\",
        ] {
            assert!(Pattern::new(bad).is_err(), "{bad}");
        }
    }

    /// The definition, without any cleverness.
    fn slow(parts: &[Part], name: &[char]) -> bool {
        match (parts.split_first(), name.split_first()) {
            (None, rest) => rest.is_none(),
            (Some((Part::Star, after)), rest) => {
                slow(after, name)
                    || rest.is_some_and(|(char, rest)| *char != '/' && slow(parts, rest))
            }
            (Some(_), None) => false,
            (Some((part, after)), Some((char, rest))) => part.matches(*char) && slow(after, rest),
        }
    }

    proptest! {
        #[test]
        fn it_agrees_with_its_definition(pattern in "[ab*?/]{0,8}|[ab*\\[\\]^-]{0,8}", name in "[ab/]{0,10}") {
            if let Ok(compiled) = Pattern::new(&pattern) {
                let chars: Vec<char> = name.chars().collect();
                prop_assert_eq!(compiled.matches(&name), slow(&compiled.parts, &chars));
            }
        }

        #[test]
        fn an_escaped_name_matches_itself(name in "\\PC{0,20}") {
            let escaped: String = name.chars().flat_map(|char| ['\\', char]).collect();
            prop_assert!(Pattern::new(&escaped).unwrap().matches(&name));
        }

        #[test]
        fn no_pattern_makes_it_panic(pattern in "\\PC{0,20}", name in "\\PC{0,20}") {
            if let Ok(compiled) = Pattern::new(&pattern) {
                compiled.matches(&name);
            }
        }
    }
}
