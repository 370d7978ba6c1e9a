//! The facts about distributions that the harness has to know.

use std::sync::LazyLock;

use serde::Deserialize;

const BUILTIN: [&str; 6] = [
    include_str!("../profiles/fcos.toml"),
    include_str!("../profiles/rhcos.toml"),
    include_str!("../profiles/scos.toml"),
    include_str!("../profiles/nestos.toml"),
    include_str!("../profiles/flatcar.toml"),
    include_str!("../profiles/generic.toml"),
];

/// What the harness has to know about a distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name in tests' metadata (`distros`).
    pub name: String,
    /// What `name` in a build's meta.json may be.
    #[serde(default)]
    pub build_names: Vec<String>,
    /// What os-release of a booted machine says; any one of them fits.
    #[serde(default)]
    pub os_release: Vec<OsRelease>,
    /// The user that has password-less sudo and whom our SSH key lets in.
    pub user: String,
    /// The unit of the SSH server, without `.service`.
    #[serde(default = "sshd")]
    pub sshd_unit: String,
    /// What `VARIANT_ID` in os-release may be; not checked if empty.
    #[serde(default)]
    pub variant_ids: Vec<String>,
    /// Files that every machine gets, for tests not to be disturbed (by updates, for instance).
    #[serde(default)]
    pub files: Vec<ProfileFile>,
    /// The virtio port that the initramfs writes its journal to when it fails.
    #[serde(default = "ignition_journal_port")]
    pub ignition_journal_port: String,
    /// What the distribution's own kernel arguments begin with, such as `coreos` in `coreos.inst.install_dev`.
    #[serde(default)]
    pub karg_prefix: Option<String>,
    /// The program that installs it to a disk.
    #[serde(default)]
    pub installer: Option<String>,
    /// The unit that updates it, without `.service`.
    #[serde(default)]
    pub updater: Option<String>,
    /// What else on the console or in the journal is a fault, besides the rules for all.
    #[serde(default)]
    pub console_patterns: Vec<ConsolePattern>,
}

/// Keys of os-release.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OsRelease {
    /// `ID`.
    pub id: String,
    /// `VARIANT_ID`; any if none.
    #[serde(default)]
    pub variant_id: Option<String>,
}

/// A rule for console and journal.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ConsolePattern {
    /// What it finds, in a few words.
    pub name: String,
    /// A regular expression.
    pub pattern: String,
    /// Whether what it finds is a warning only.
    #[serde(default)]
    pub warn: bool,
}

fn sshd() -> String {
    "sshd".to_owned()
}

fn ignition_journal_port() -> String {
    "com.coreos.ignition.journal".to_owned()
}

/// A file that every machine of a distribution gets.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProfileFile {
    /// Its absolute path in the guest.
    pub path: String,
    /// Its contents.
    pub contents: String,
}

static PROFILES: LazyLock<Vec<Profile>> = LazyLock::new(|| {
    // A unit test makes sure that every file is read.
    BUILTIN
        .iter()
        .filter_map(|text| toml::from_str(text).ok())
        .collect()
});

impl Profile {
    /// The profile of that name, if there is one.
    pub fn builtin(name: &str) -> Option<Profile> {
        PROFILES
            .iter()
            .find(|profile| profile.name == name)
            .cloned()
    }

    /// The names of all profiles.
    pub fn names() -> Vec<&'static str> {
        PROFILES
            .iter()
            .map(|profile| profile.name.as_str())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_profile_is_read() {
        assert_eq!(
            Profile::names(),
            ["fcos", "rhcos", "scos", "nestos", "flatcar", "generic"]
        );
        assert_eq!(Profile::builtin("nestos").unwrap().user, "nest");
        assert_eq!(Profile::builtin("fcos").unwrap().variant_ids, ["coreos"]);
        assert_eq!(Profile::builtin("plan9"), None);
    }
}
