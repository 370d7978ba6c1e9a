//! What denies tests in a run: the denylist's entries that apply, and the patterns of the command line.

use kolea_model::TestCase;

use super::{SelectError, Selection, compile};
use crate::denylist::Effect;
use crate::pattern::Pattern;

pub(super) struct Denials {
    /// Patterns, and the rules for messages. The command line's come first, then the list's in its order.
    deny: Vec<(Pattern, String)>,
    warn: Vec<(Pattern, String)>,
}

impl Denials {
    pub(super) fn new(selection: &Selection) -> Result<Denials, SelectError> {
        let mut denials = Denials {
            deny: Vec::new(),
            warn: Vec::new(),
        };
        for text in &selection.denied {
            let rule = format!("--denylist-test {text}");
            denials.deny.push((compile(text)?, rule));
        }
        for entry in selection.denylist.test_entries() {
            let list = match entry.effect(selection) {
                Some(Effect::Deny) => &mut denials.deny,
                Some(Effect::Warn) => &mut denials.warn,
                None => continue,
            };
            list.push((compile(&entry.pattern)?, entry.rule()));
        }
        Ok(denials)
    }

    /// The first rule that denies the test.
    pub(super) fn denial(&self, test: &TestCase) -> Option<&str> {
        first(&self.deny, test)
    }

    /// The first rule that makes its failure a warning.
    pub(super) fn warning(&self, test: &TestCase) -> Option<&str> {
        first(&self.warn, test)
    }
}

fn first<'a>(rules: &'a [(Pattern, String)], test: &TestCase) -> Option<&'a str> {
    let found = rules.iter().find(|(pattern, _)| {
        pattern.matches(&test.name)
            || test
                .copy_of
                .as_deref()
                .is_some_and(|original| pattern.matches(original))
    });
    found.map(|(_, rule)| rule.as_str())
}
