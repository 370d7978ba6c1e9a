//! The facts about distributions that the harness has to know.

use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use kolea_model::CdBus;
use regex::Regex;
use serde::{Deserialize, Deserializer};
use thiserror::Error;

use crate::Provisioning;

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
    #[serde(deserialize_with = "word")]
    pub name: String,
    /// What `name` in a build's meta.json may be.
    #[serde(default)]
    pub build_names: Vec<String>,
    /// What os-release of a booted machine says; any one of them fits.
    #[serde(default)]
    pub os_release: Vec<OsRelease>,
    /// Whom our SSH key lets in: root, or a user that has password-less sudo.
    #[serde(deserialize_with = "word")]
    pub user: String,
    /// The unit of the SSH server, without `.service`.
    #[serde(default = "sshd", deserialize_with = "unit_name")]
    pub sshd_unit: String,
    /// How machines are provisioned unless the user says otherwise; by Ignition if the profile does not say.
    #[serde(default)]
    pub provision: Provisioning,
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
    /// The directory in the root of its live ISOs that describes their embed areas (`igninfo.json`, `kargs.json`).
    #[serde(default)]
    pub iso_directory: Option<String>,
    /// How machines reach a CD; it has to be one that the live system's initramfs has the drivers for.
    #[serde(default)]
    pub cd_bus: CdBus,
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
    /// A regular expression, in the syntax of the `regex` crate; it is applied line by line, and what its first group matches is
    /// shown with the name.
    #[serde(deserialize_with = "expression")]
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
    #[serde(deserialize_with = "absolute")]
    pub path: String,
    /// Its permissions; readable for all if the profile does not say.
    #[serde(default = "readable", deserialize_with = "permissions")]
    pub mode: u32,
    /// Its contents.
    pub contents: String,
}

fn readable() -> u32 {
    0o644
}

/// Whoever writes `mode = 644` means 0o644, and gets 0o1204.
fn permissions<'de, D: Deserializer<'de>>(from: D) -> Result<u32, D::Error> {
    let mode = u32::deserialize(from)?;
    if mode > 0o777 {
        return Err(serde::de::Error::custom(format!(
            "{mode} is no file mode: octal numbers begin with 0o, as in 0o644"
        )));
    }
    Ok(mode)
}

fn absolute<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let path = String::deserialize(from)?;
    if !path.starts_with('/') || path.ends_with('/') {
        return Err(serde::de::Error::custom(format!(
            "`{path}` is no absolute path of a file"
        )));
    }
    Ok(path)
}

fn expression<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let pattern = String::deserialize(from)?;
    match Regex::new(&pattern) {
        Ok(_) => Ok(pattern),
        Err(error) => {
            // The last line of its drawing says what is wrong.
            let error = error.to_string();
            let why = error.lines().last().unwrap_or_default();
            Err(serde::de::Error::custom(format!(
                "`{pattern}` is no regular expression: {}",
                why.trim_start_matches("error: ")
            )))
        }
    }
}

fn word<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let text = String::deserialize(from)?;
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    if text.is_empty() || text.starts_with('-') || !text.chars().all(plain) {
        return Err(serde::de::Error::custom(format!(
            "`{text}` is no name: letters, digits, `-`, `_` and `.` make one"
        )));
    }
    Ok(text)
}

fn unit_name<'de, D: Deserializer<'de>>(from: D) -> Result<String, D::Error> {
    let unit = word(from)?;
    if unit.ends_with(".service") {
        return Err(serde::de::Error::custom(format!(
            "`{unit}`: leave `.service` out"
        )));
    }
    Ok(unit)
}

/// Why a user's own profile can't be used.
#[derive(Debug, Error)]
pub enum ProfileError {
    /// The file can't be read.
    #[error("cannot read the profile {}: {error}", .path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// What is in it makes no sense.
    #[error("{}:{line}: not a profile: {message}", .path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong, in one line.
        message: String,
    },
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

    /// Reads a user's own profile, which is written like those in `profiles/`.
    ///
    /// # Errors
    /// The file can't be read, has a key that is not known or lacks one, or a value makes no sense.
    pub fn load(path: &Path) -> Result<Profile, ProfileError> {
        let text = std::fs::read_to_string(path).map_err(|error| ProfileError::Unreadable {
            path: path.to_owned(),
            error,
        })?;
        toml::from_str(&text).map_err(|error| {
            let before = error.span().and_then(|span| text.get(..span.start));
            ProfileError::Invalid {
                path: path.to_owned(),
                line: before.unwrap_or_default().matches('\n').count() + 1,
                message: error.message().replace('\n', "; "),
            }
        })
    }

    /// The profile whose builds have that `name` in meta.json.
    pub fn of_build_name(name: &str) -> Option<Profile> {
        let known = |profile: &&Profile| profile.build_names.iter().any(|known| known == name);
        PROFILES.iter().find(known).cloned()
    }

    /// The profile of a live ISO by the label of its volume, which is the name of the build, a hyphen, and its version.
    pub fn of_volume_label(label: &str) -> Option<Profile> {
        let fits = |name: &String| {
            let rest = label.strip_prefix(name.as_str());
            rest.is_some_and(|rest| rest.starts_with('-'))
        };
        let known = |profile: &&Profile| profile.build_names.iter().any(fits);
        PROFILES.iter().find(known).cloned()
    }

    /// What `iso_directory` is in the profiles that have one: where embed areas are looked for in an image of which nothing is
    /// known.
    pub fn iso_directories() -> Vec<String> {
        let mut directories: Vec<String> = PROFILES
            .iter()
            .filter_map(|profile| profile.iso_directory.clone())
            .collect();
        directories.sort();
        directories.dedup();
        directories
    }

    /// The profile that fits os-release's `ID` and `VARIANT_ID`; none if there is none but `generic`.
    pub fn of_os_release(id: &str, variant_id: Option<&str>) -> Option<Profile> {
        let fits = |release: &OsRelease| {
            release.id == id
                && (release.variant_id.is_none() || release.variant_id.as_deref() == variant_id)
        };
        let profile = PROFILES
            .iter()
            .find(|profile| profile.os_release.iter().any(fits));
        profile.cloned()
    }

    /// Where the user's home is, as kola has it: on images with ostree it is a link to /var/home.
    pub fn home(&self) -> String {
        home_of(&self.user)
    }
}

/// Where a user's home is, by its name alone.
pub(crate) fn home_of(user: &str) -> String {
    match user {
        "root" => "/root".to_owned(),
        user => format!("/home/{user}"),
    }
}

#[cfg(test)]
#[path = "profile_tests.rs"]
mod tests;
