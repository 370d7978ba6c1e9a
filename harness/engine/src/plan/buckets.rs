//! Which tests may share a machine.

use std::collections::BTreeSet;

use kolea_model::{TestCase, TestSource, UserConfig};

/// Says what a config writes.
pub(super) type Claims<'a> = &'a dyn Fn(&UserConfig) -> BTreeSet<String>;

/// Whether a test may share its machine: only external tests can be told apart on one.
pub(crate) fn is_shareable(test: &TestCase) -> bool {
    !test.exclusive && matches!(test.source, TestSource::External(_))
}

/// What tests in one bucket have in common, beyond what keeps them from harming each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mixing {
    /// Nothing (kola).
    Free,
    /// Whether they ask for a fresh boot.
    ByBoot,
    /// That, and whether they have a config: those without one can all be clones of one template.
    ByBootAndConfig,
}

impl Mixing {
    fn allows(self, one: &TestCase, other: &TestCase) -> bool {
        let boot = one.fresh_boot == other.fresh_boot;
        let config = one.config.is_some() == other.config.is_some();
        match self {
            Mixing::Free => true,
            Mixing::ByBoot => boot,
            Mixing::ByBootAndConfig => boot && config,
        }
    }
}

/// Puts tests into buckets, in the order they come in: each into the first where everybody tolerates it. `appended` is what the
/// configs write that every machine's own is merged with.
pub(super) fn buckets<'a>(
    tests: impl Iterator<Item = (usize, &'a TestCase)>,
    mixing: Mixing,
    claims: Claims<'_>,
    appended: &BTreeSet<String>,
) -> Vec<Vec<usize>> {
    let mut buckets: Vec<Vec<Newcomer<'_>>> = Vec::new();
    for (index, test) in tests {
        let own = test.config.as_ref().map(claims).unwrap_or_default();
        let newcomer = Newcomer {
            index,
            test,
            overrides: !own.is_disjoint(appended),
            claims: own,
        };
        let open = buckets.iter_mut().find(|bucket| {
            bucket
                .iter()
                .all(|member| member.tolerates(&newcomer, mixing))
        });
        match open {
            Some(bucket) => bucket.push(newcomer),
            None => buckets.push(vec![newcomer]),
        }
    }
    buckets
        .into_iter()
        .map(|bucket| bucket.into_iter().map(|member| member.index).collect())
        .collect()
}

/// A test that looks for a bucket.
struct Newcomer<'a> {
    index: usize,
    test: &'a TestCase,
    /// What its config writes.
    claims: BTreeSet<String>,
    /// Whether that replaces something that every machine is to have, which others may count on.
    overrides: bool,
}

impl Newcomer<'_> {
    /// Whether both may be on one machine: equal needs, neither names the other as a conflict, and their configs
    /// write different things (or are the same config).
    fn tolerates(&self, other: &Newcomer<'_>, mixing: Mixing) -> bool {
        let names = |from: &TestCase, to: &TestCase| from.conflicts.contains(&to.name);
        let same_config = match (&self.test.config, &other.test.config) {
            (Some(own), Some(theirs)) => own.text == theirs.text,
            _ => false,
        };
        self.test.needs == other.test.needs
            && mixing.allows(self.test, other.test)
            && !names(self.test, other.test)
            && !names(other.test, self.test)
            && (same_config
                || !self.overrides && !other.overrides && self.claims.is_disjoint(&other.claims))
    }
}
