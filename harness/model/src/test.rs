//! What a test is.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::MachineNeeds;

/// How long a test with a machine of its own may take, boot included, unless it says otherwise (kola's default).
pub const DEFAULT_EXCLUSIVE_TIMEOUT: Duration = Duration::from_secs(10 * 60);
/// How long a test on a shared, booted machine may take unless it says otherwise (kola's default).
pub const DEFAULT_SHARED_TIMEOUT: Duration = Duration::from_secs(60);

/// A list of names that a test is restricted to, or kept from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Restriction {
    /// Only these; empty for no restriction.
    pub include: Vec<String>,
    /// All but these.
    pub exclude: Vec<String>,
}

impl Restriction {
    /// Whether `name` passes.
    pub fn allows(&self, name: &str) -> bool {
        (self.include.is_empty() || self.include.iter().any(|entry| entry == name))
            && !self.exclude.iter().any(|entry| entry == name)
    }
}

/// A user's Ignition config, read and found to be valid JSON with a supported version.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserConfig {
    /// The file it came from.
    pub path: PathBuf,
    /// Its text.
    pub text: Arc<str>,
}

/// Where an external test's files are.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ExternalTest {
    /// The executable.
    pub executable: PathBuf,
    /// The `data` directory beside it.
    pub data: Option<PathBuf>,
}

/// What a test is made of.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TestSource {
    /// An executable in a test tree, run in the guest by a systemd unit.
    External(ExternalTest),
    /// Compiled into kolea.
    Native,
}

/// One test, as its author described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TestCase {
    /// Unique name, such as `ext.core.reboot`.
    pub name: String,
    /// One line on what it proves; may be empty.
    pub description: String,
    /// What it is made of.
    pub source: TestSource,
    /// Tags, `external` among them for external tests.
    pub tags: Vec<String>,
    /// A tag that must have been asked for by `--tag`, or the test is left out.
    pub required_tag: Option<String>,
    /// Architectures, by their RPM names (`x86_64`, `aarch64`).
    pub architectures: Restriction,
    /// Platforms (`qemu`).
    pub platforms: Restriction,
    /// Distributions (`fcos`, `rhcos`, `nestos`).
    pub distros: Restriction,
    /// Whether it needs a machine of its own.
    pub exclusive: bool,
    /// Names of tests that it must not share a machine with.
    pub conflicts: Vec<String>,
    /// Its own time limit; the defaults above otherwise.
    pub timeout: Option<Duration>,
    /// What its machine must have.
    pub needs: MachineNeeds,
    /// Its Ignition config.
    pub config: Option<UserConfig>,
    /// Whether its machine has to boot for it, rather than be a clone of one that did (`freshBoot`).
    pub fresh_boot: bool,
    /// The host's TCP ports that no other test may use at the same time (`requiredHostPorts`).
    pub host_ports: Vec<u16>,
    /// Whether it gets the image's ostree container (`injectContainer`).
    pub inject_container: bool,
    /// Firmware it runs with, by the names of `--qemu-firmware`; compiled-in tests only.
    pub firmwares: Restriction,
    /// Until when a failure is only a warning (`creationDate` and 30 days).
    pub grace_until: Option<DateTime<Utc>>,
    /// What a failure means in this run. The selection decides that.
    pub on_failure: OnFailure,
    /// Of which test it is a copy (`--multiply`).
    pub copy_of: Option<String>,
    /// How many machines it needs at the same time.
    #[serde(default = "one")]
    pub machines: u32,
}

fn one() -> u32 {
    1
}

/// What a failure of a test means.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "means", rename_all = "kebab-case")]
pub enum OnFailure {
    /// That the run has failed.
    #[default]
    Fail,
    /// A warning: the test is new, or the denylist says `warn`.
    Warn {
        /// Why, in one line.
        why: String,
    },
    /// Nothing: the test is denied, and runs by `--run-denied`. That it passes is worth a word.
    Expected {
        /// Why it is denied, in one line.
        why: String,
    },
}

impl TestCase {
    /// A test about which nobody said anything: it has a machine of its own, of the default kind, and runs everywhere.
    pub fn new(name: impl Into<String>, source: TestSource) -> TestCase {
        TestCase {
            name: name.into(),
            description: String::new(),
            source,
            tags: Vec::new(),
            required_tag: None,
            architectures: Restriction::default(),
            platforms: Restriction::default(),
            distros: Restriction::default(),
            exclusive: true,
            conflicts: Vec::new(),
            timeout: None,
            needs: MachineNeeds::default(),
            config: None,
            fresh_boot: false,
            host_ports: Vec::new(),
            inject_container: false,
            firmwares: Restriction::default(),
            grace_until: None,
            on_failure: OnFailure::Fail,
            copy_of: None,
            machines: 1,
        }
    }

    /// How long it may take before time-outs are scaled to the accelerator.
    pub fn time_limit(&self) -> Duration {
        self.timeout.unwrap_or(if self.exclusive {
            DEFAULT_EXCLUSIVE_TIMEOUT
        } else {
            DEFAULT_SHARED_TIMEOUT
        })
    }

    /// Whether it carries the tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.tags.iter().any(|own| own == tag)
    }

    /// The last part of its file name, which the guest knows it by; the test's name for compiled-in tests.
    pub fn executable_name(&self) -> &str {
        match &self.source {
            TestSource::External(external) => external
                .executable
                .file_name()
                .and_then(|name| name.to_str())
                .unwrap_or(&self.name),
            TestSource::Native => &self.name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_restriction_includes_and_excludes() {
        let both = Restriction {
            include: vec!["a".into(), "b".into()],
            exclude: vec!["b".into()],
        };
        assert!(both.allows("a"));
        assert!(!both.allows("b"));
        assert!(!both.allows("c"));
        assert!(Restriction::default().allows("anything"));
    }
}
