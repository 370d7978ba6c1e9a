//! The facts about distributions that the harness has to know.

use std::sync::LazyLock;

use serde::Deserialize;

const BUILTIN: [&str; 5] = [
    include_str!("../profiles/fcos.toml"),
    include_str!("../profiles/rhcos.toml"),
    include_str!("../profiles/scos.toml"),
    include_str!("../profiles/nestos.toml"),
    include_str!("../profiles/flatcar.toml"),
];

/// What the harness has to know about a distribution.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Profile {
    /// Its name in tests' metadata (`distros`).
    pub name: String,
    /// The user that has password-less sudo and whom our SSH key lets in.
    pub user: String,
    /// What `VARIANT_ID` in os-release may be; not checked if empty.
    #[serde(default)]
    pub variant_ids: Vec<String>,
    /// Files that every machine gets, for tests not to be disturbed (by updates, for instance).
    #[serde(default)]
    pub files: Vec<ProfileFile>,
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
            ["fcos", "rhcos", "scos", "nestos", "flatcar"]
        );
        assert_eq!(Profile::builtin("nestos").unwrap().user, "nest");
        assert_eq!(Profile::builtin("fcos").unwrap().variant_ids, ["coreos"]);
        assert_eq!(Profile::builtin("plan9"), None);
    }
}
