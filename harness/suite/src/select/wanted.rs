//! What the user asked for: patterns and tags.

use kolea_model::TestCase;

use super::{SelectError, compile};
use crate::closest::closest;
use crate::pattern::Pattern;

/// The patterns of the command line.
///
/// A pattern is for names, as in kola. One that matches no name is for tags, where kola knows only that nothing matches;
/// so what is selected there is selected here.
pub(super) struct Patterns {
    /// Empty where everything was asked for.
    patterns: Vec<Wanted>,
}

struct Wanted {
    pattern: Pattern,
    by_tag: bool,
}

impl Patterns {
    /// Compiles the patterns. Each must match a test, and a `*` among them means everything.
    pub(super) fn new(texts: &[String], tests: &[TestCase]) -> Result<Patterns, SelectError> {
        let mut patterns = Vec::with_capacity(texts.len());
        for text in texts {
            let pattern = compile(text)?;
            let by_tag = !tests.iter().any(|test| by_name(&pattern, test));
            if by_tag && !tests.iter().any(|test| by_tags(&pattern, test)) {
                // with no tests at all, that is what is to be said
                if tests.is_empty() {
                    continue;
                }
                return Err(SelectError::NoMatch {
                    pattern: text.clone(),
                    close: close_names(text, tests),
                });
            }
            patterns.push(Wanted { pattern, by_tag });
        }
        if texts.iter().any(|text| text == "*") {
            patterns.clear();
        }
        Ok(Patterns { patterns })
    }

    pub(super) fn is_everything(&self) -> bool {
        self.patterns.is_empty()
    }

    pub(super) fn match_any(&self, test: &TestCase) -> bool {
        self.patterns.iter().any(|wanted| {
            if wanted.by_tag {
                by_tags(&wanted.pattern, test)
            } else {
                by_name(&wanted.pattern, test)
            }
        })
    }
}

fn by_name(pattern: &Pattern, test: &TestCase) -> bool {
    pattern.matches(&test.name)
        || test
            .copy_of
            .as_deref()
            .is_some_and(|original| pattern.matches(original))
}

fn by_tags(pattern: &Pattern, test: &TestCase) -> bool {
    test.tags.iter().any(|tag| pattern.matches(tag))
}

fn close_names(text: &str, tests: &[TestCase]) -> Vec<String> {
    // the wildcards say nothing about what was meant
    let wanted: String = text
        .chars()
        .filter(|char| !"*?[]".contains(*char))
        .collect();
    let names = tests
        .iter()
        .map(|test| test.copy_of.as_deref().unwrap_or(&test.name));
    closest(wanted.trim_matches('.'), names, 5)
}

/// The tags of the command line.
pub(super) struct Tags<'a> {
    pub positive: Vec<&'a str>,
    pub negative: Vec<&'a str>,
}

impl<'a> Tags<'a> {
    pub(super) fn new(tags: &'a [String]) -> Tags<'a> {
        let (negative, positive): (Vec<&str>, Vec<&str>) = tags
            .iter()
            .map(|tag| tag.trim())
            .filter(|tag| !tag.is_empty())
            .partition(|tag| tag.starts_with('!'));
        Tags {
            positive,
            negative: negative.iter().map(|tag| tag[1..].trim()).collect(),
        }
    }

    /// Whether the test has one of those that were asked for, or requires it.
    pub(super) fn match_any(&self, test: &TestCase) -> bool {
        self.positive
            .iter()
            .any(|tag| test.has_tag(tag) || test.required_tag.as_deref() == Some(tag))
    }

    /// Tags of the tests that are close to those that were asked for.
    pub(super) fn close(&self, tests: &[TestCase]) -> Vec<String> {
        let mut all: Vec<&str> = tests
            .iter()
            .flat_map(|test| test.tags.iter().chain(&test.required_tag))
            .map(String::as_str)
            .collect();
        all.sort_unstable();
        all.dedup();
        let mut close: Vec<String> = self
            .positive
            .iter()
            .flat_map(|tag| closest(tag, all.iter().copied(), 3))
            .collect();
        close.dedup();
        close
    }
}
