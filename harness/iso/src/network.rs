//! NetworkManager keyfiles in the embed area. The live system's initramfs sets the network up with them, and coreos-installer's
//! `--copy-network` takes them to the system that it installs.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Deserialize;

use crate::archive::Archive;
use crate::error::IsoError;
use crate::ignition::MAX_INFO;
use crate::volume::Iso;

/// Where the initramfs looks for them.
const DIRECTORY: &str = "etc/coreos-firstboot-network/";

/// What happens to the keyfiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NetworkChange {
    /// They are embedded.
    Embed {
        /// Name and contents; the contents are not looked into.
        keyfiles: BTreeMap<String, Vec<u8>>,
        /// Whether they take the place of all that are there.
        replace: bool,
    },
    /// They are removed, if there are any.
    Remove,
}

/// What is read of `features.json`.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
struct Features {
    live_initrd_network: bool,
}

/// Whether the image says that its initramfs takes keyfiles, by `features.json` in one of those directories of the root.
///
/// # Errors
/// It doesn't, or what it says makes no sense.
pub fn check_network(iso: &Iso, directories: &[String]) -> Result<(), IsoError> {
    for directory in directories {
        let Some(entry) = iso.find(&format!("/{directory}/features.json"))? else {
            continue;
        };
        let json = iso.contents(&entry, MAX_INFO)?;
        let features: Features = serde_json::from_slice(&json)
            .map_err(|error| IsoError::damaged(&entry.path, error.to_string()))?;
        return match features.live_initrd_network {
            true => Ok(()),
            false => Err(IsoError::NoNetwork {
                looked_for: format!("{} does not have it", entry.path),
            }),
        };
    }
    let paths: Vec<String> = directories
        .iter()
        .map(|directory| format!("no /{directory}/features.json"))
        .collect();
    Err(IsoError::NoNetwork {
        looked_for: paths.join(", "),
    })
}

/// Whether a keyfile can have that name.
///
/// # Errors
/// It is not that of a file.
pub fn check_keyfile_name(name: &str) -> Result<(), IsoError> {
    // Else it would have a directory in it, or be one.
    if file_name(name) == Some(name) && !name.contains('\0') {
        return Ok(());
    }
    Err(IsoError::KeyfileName(name.to_owned()))
}

/// The keyfiles in an archive by their names, without directories. Of some with the same name the last counts.
pub fn keyfiles(archive: &Archive) -> BTreeMap<&str, &[u8]> {
    let files = archive.files.iter();
    files
        .filter(|(path, _)| path.starts_with(DIRECTORY))
        .filter_map(|(path, contents)| Some((file_name(path)?, contents.as_slice())))
        .collect()
}

impl NetworkChange {
    /// Changes the archive; other files in it stay as they are.
    pub(crate) fn apply(&self, archive: &mut Archive) -> Result<(), IsoError> {
        let is_one = |path: &String| path.starts_with(DIRECTORY);
        if let NetworkChange::Embed { replace: false, .. } = self
            && archive.files.keys().any(is_one)
        {
            return Err(IsoError::NetworkAlreadyEmbedded);
        }
        archive.files.retain(|path, _| !is_one(path));
        if let NetworkChange::Embed { keyfiles, .. } = self {
            for (name, contents) in keyfiles {
                check_keyfile_name(name)?;
                let path = format!("{DIRECTORY}{name}");
                archive.files.insert(path, contents.clone());
            }
        }
        Ok(())
    }
}

fn file_name(path: &str) -> Option<&str> {
    Path::new(path).file_name()?.to_str()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_that_of_a_file() {
        for name in ["eth0.nmconnection", "a b", "..c"] {
            check_keyfile_name(name).unwrap();
        }
        for name in ["", ".", "..", "a/b", "/a", "a/", "a/..", "a\0"] {
            let error = check_keyfile_name(name).unwrap_err().to_string();
            assert!(error.contains("no name for a keyfile"), "{error}");
        }
    }

    #[test]
    fn names_have_no_directories() {
        let mut archive = Archive::default();
        for path in [
            "config.ign",
            "etc/coreos-firstboot-network/a",
            "etc/coreos-firstboot-network/../../b",
            "etc/coreos-firstboot-network/..",
            "etc/coreos-firstboot-network",
        ] {
            archive.files.insert(path.to_owned(), Vec::new());
        }
        let names: Vec<&str> = keyfiles(&archive).into_keys().collect();
        assert_eq!(names, ["a", "b"]);
    }
}
