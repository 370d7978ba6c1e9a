//! Which distribution is tested: what the run was told, or what the first machine that can be asked says.

use std::sync::{Arc, OnceLock};

use kolea_machine::profile::Profile;
use kolea_model::{Restriction, SkipReason, TestCase};

use crate::RunOptions;
use crate::rules::RuleSet;

/// A distribution's facts, and the rules with its own patterns.
#[derive(Debug)]
struct Known {
    profile: Profile,
    rules: Arc<RuleSet>,
}

impl Known {
    fn new(profile: Profile) -> Self {
        Known {
            rules: RuleSet::new(&profile.console_patterns),
            profile,
        }
    }
}

/// The distribution of a run.
#[derive(Debug)]
pub(crate) struct Distro {
    /// What the run was told; while it is yet to be detected, what fits any.
    first: Known,
    detect: bool,
    detected: OnceLock<Known>,
}

/// What a machine has told.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct News {
    /// The distribution's name.
    pub distro: String,
    /// What it was told by, in one line.
    pub from: String,
}

impl Distro {
    pub fn new(options: &RunOptions) -> Self {
        let first = match Profile::builtin("generic") {
            Some(generic) if options.detect_distro => generic,
            _ => options.profile.clone(),
        };
        Distro {
            first: Known::new(first),
            detect: options.detect_distro,
            detected: OnceLock::new(),
        }
    }

    fn known(&self) -> &Known {
        self.detected.get().unwrap_or(&self.first)
    }

    /// The facts as far as they are known.
    pub fn profile(&self) -> &Profile {
        &self.known().profile
    }

    /// The rules for consoles and journals.
    pub fn rules(&self) -> Arc<RuleSet> {
        Arc::clone(&self.known().rules)
    }

    /// Whether a machine has yet to tell.
    pub fn is_unknown(&self) -> bool {
        self.detect && self.detected.get().is_none()
    }

    /// A machine's os-release says this. News, if it is the first that does.
    pub fn learn(&self, id: &str, variant_id: Option<&str>) -> Option<News> {
        if !self.is_unknown() {
            return None;
        }
        let profile = Profile::of_os_release(id, variant_id);
        let known = profile.map_or_else(|| Known::new(self.first.profile.clone()), Known::new);
        let distro = known.profile.name.clone();
        self.detected.set(known).ok()?;
        let from = match (id, variant_id) {
            ("", _) => "the machine has no ID in os-release".to_owned(),
            (id, None) => format!("os-release of the machine: ID={id}"),
            (id, Some(variant)) => {
                format!("os-release of the machine: ID={id}, VARIANT_ID={variant}")
            }
        };
        Some(News { distro, from })
    }

    /// Why a test does not apply to the distribution that was detected, if it does not. The selection has decided that where the
    /// run was told.
    pub fn excludes(&self, test: &TestCase) -> Option<SkipReason> {
        let profile = &self.detected.get()?.profile;
        (!test.distros.allows(&profile.name)).then(|| SkipReason::NotApplicable {
            rule: format!(
                "distros: {}, and the machine says it is {}",
                as_written(&test.distros),
                profile.name
            ),
        })
    }
}

/// As in the test's metadata.
fn as_written(restriction: &Restriction) -> String {
    let excluded = restriction.exclude.join(" ");
    match restriction.include.join(" ") {
        included if included.is_empty() => format!("!{excluded}"),
        included if excluded.is_empty() => included,
        included => format!("{included}, !{excluded}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolea_model::TestSource;

    fn test(include: &[&str], exclude: &[&str]) -> TestCase {
        let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
        TestCase {
            distros: Restriction {
                include: names(include),
                exclude: names(exclude),
            },
            ..TestCase::new("t", TestSource::Native)
        }
    }

    #[test]
    fn the_first_machine_tells() {
        let distro = Distro::new(&RunOptions {
            detect_distro: true,
            profile: Profile::builtin("fcos").unwrap(),
            ..RunOptions::default()
        });
        assert!(distro.is_unknown());
        assert_eq!(distro.excludes(&test(&["fcos"], &[])), None);
        assert!(distro.profile().variant_ids.is_empty());
        let news = distro.learn("nestos", Some("container")).unwrap();
        assert_eq!(news.distro, "nestos");
        assert_eq!(
            news.from,
            "os-release of the machine: ID=nestos, VARIANT_ID=container"
        );
        assert_eq!(distro.learn("fedora", Some("coreos")), None);
        assert_eq!(distro.profile().name, "nestos");
        assert_eq!(distro.excludes(&test(&["nestos"], &[])), None);
        let excluded = distro.excludes(&test(&["fcos", "rhcos"], &[])).unwrap();
        assert_eq!(
            excluded.to_string(),
            "not applicable: distros: fcos rhcos, and the machine says it is nestos"
        );
        assert!(distro.excludes(&test(&[], &["nestos"])).is_some());
    }

    #[test]
    fn what_nobody_knows_is_generic() {
        let distro = Distro::new(&RunOptions {
            detect_distro: true,
            ..RunOptions::default()
        });
        assert_eq!(
            distro.learn("fixture", Some("coreos")).unwrap().distro,
            "generic"
        );
        assert!(!distro.is_unknown());
    }

    #[test]
    fn a_run_that_was_told_asks_nobody() {
        let distro = Distro::new(&RunOptions {
            profile: Profile::builtin("fcos").unwrap(),
            ..RunOptions::default()
        });
        assert_eq!(distro.learn("nestos", None), None);
        assert_eq!(distro.profile().name, "fcos");
        assert_eq!(distro.excludes(&test(&["nestos"], &[])), None);
    }
}
