//! The rules, compiled for a run, and applied to one test at a time.

use kolea_model::{OnFailure, Restriction, SkipReason, TestCase};

use super::denials::Denials;
use super::wanted::{Patterns, Tags};
use super::{Decision, SelectError, Selection};

/// The only platform that tests with the tag run on, unless told otherwise: they would say the same on any.
const PLATFORM_INDEPENDENT: (&str, &str) = ("platform-independent", "qemu");

pub(super) struct Rules<'a> {
    selection: &'a Selection,
    patterns: Patterns,
    pub tags: Tags<'a>,
    denials: Denials,
    /// The line for a test that nobody asked for.
    not_asked_for: String,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        selection: &'a Selection,
        tests: &[TestCase],
    ) -> Result<Rules<'a>, SelectError> {
        let patterns = Patterns::new(&selection.patterns, tests)?;
        let tags = Tags::new(&selection.tags);
        let no_tag = format!("has no tag of --tag {}", tags.positive.join(","));
        let not_asked_for = match (patterns.is_everything(), tags.positive.is_empty()) {
            (true, _) => format!("it {no_tag}"),
            (false, true) => "it matches no pattern".to_owned(),
            (false, false) => format!("it matches no pattern and {no_tag}"),
        };
        Ok(Rules {
            selection,
            denials: Denials::new(selection)?,
            patterns,
            tags,
            not_asked_for,
        })
    }

    /// What becomes of a test, and what its failure means if it runs.
    pub(super) fn decide(&self, test: &TestCase) -> (Decision, OnFailure) {
        let mut on_failure = OnFailure::Fail;
        let decision = if !self.asked_for(test) {
            Decision::NotAskedFor(self.not_asked_for.clone())
        } else if let Some(reason) = self.exclusion(test) {
            Decision::Skip(reason)
        } else {
            match self.denials.denial(test) {
                Some(rule) if self.selection.run_denied => {
                    let why = rule.to_owned();
                    on_failure = OnFailure::Expected { why };
                    self.in_shard(test)
                }
                Some(rule) => Decision::Skip(SkipReason::Denied {
                    rule: rule.to_owned(),
                }),
                None => {
                    on_failure = self.grace(test);
                    self.in_shard(test)
                }
            }
        };
        (decision, on_failure)
    }

    /// By a pattern or a tag; without patterns, by a tag where tags were given.
    fn asked_for(&self, test: &TestCase) -> bool {
        if self.patterns.is_everything() {
            self.tags.positive.is_empty() || self.tags.match_any(test)
        } else {
            self.patterns.match_any(test) || self.tags.match_any(test)
        }
    }

    /// The first rule that leaves the test out, in kola's order.
    fn exclusion(&self, test: &TestCase) -> Option<SkipReason> {
        let deselected = |rule: String| Some(SkipReason::Deselected { rule });
        if self.selection.no_net && test.needs.internet {
            return deselected("--no-net, and the test has the tag needs-internet".to_owned());
        }
        if let Some(tag) = self.tags.negative.iter().find(|tag| test.has_tag(tag)) {
            return deselected(format!("--tag !{tag}"));
        }
        if let Some(tag) = test.required_tag.as_deref()
            && !self.tags.positive.contains(&tag)
        {
            return deselected(format!("it runs only with --tag {tag}"));
        }
        let rule = self.wrong_platform(test).or_else(|| {
            let selection = self.selection;
            let distro = selection.distro.as_deref().unwrap_or("");
            // other platforms choose the firmware themselves
            let firmware = match selection.platform.as_str() {
                "qemu" => selection.firmware.as_str(),
                _ => "",
            };
            [
                (
                    "architectures",
                    &test.architectures,
                    selection.arch.as_str(),
                ),
                ("distros", &test.distros, distro),
                ("firmware", &test.firmwares, firmware),
            ]
            .into_iter()
            .find_map(|(key, restriction, name)| restricted(key, restriction, name))
        })?;
        Some(SkipReason::NotApplicable { rule })
    }

    /// The tag takes the place of the platforms that the test is for, but not of those that it is not for.
    fn wrong_platform(&self, test: &TestCase) -> Option<String> {
        let platform = self.selection.platform.as_str();
        let (tag, only) = PLATFORM_INDEPENDENT;
        if self.selection.run_platform_independent || !test.has_tag(tag) {
            return restricted("platforms", &test.platforms, platform);
        }
        if !platform.is_empty() && platform != only {
            return Some(format!(
                "tag {tag}: runs on {only} only, unless --run-platform-independent is given"
            ));
        }
        let excluded = Restriction {
            include: Vec::new(),
            exclude: test.platforms.exclude.clone(),
        };
        restricted("platforms", &excluded, platform)
    }

    fn in_shard(&self, test: &TestCase) -> Decision {
        let shard = self.selection.shard;
        match shard.and_then(|shard| shard.exclusion(&test.name)) {
            Some(reason) => Decision::Skip(reason),
            None => Decision::Run,
        }
    }

    /// What a failure means where nothing denies the test.
    fn grace(&self, test: &TestCase) -> OnFailure {
        if let Some(rule) = self.denials.warning(test) {
            let why = format!("the denylist says so: {rule}");
            return OnFailure::Warn { why };
        }
        match test.grace_until {
            Some(end) if end > self.selection.now => OnFailure::Warn {
                why: format!("the test is new: until {}", end.date_naive()),
            },
            _ => test.on_failure.clone(),
        }
    }
}

/// The rule that keeps a test from where it would run; none if it may run there, or nothing is known about where.
fn restricted(key: &str, restriction: &Restriction, name: &str) -> Option<String> {
    if name.is_empty() || restriction.allows(name) {
        return None;
    }
    let mut parts = Vec::new();
    if !restriction.include.is_empty() {
        parts.push(restriction.include.join(" "));
    }
    if !restriction.exclude.is_empty() {
        parts.push(format!("!{}", restriction.exclude.join(" ")));
    }
    Some(format!("{key}: {}", parts.join(", ")))
}
