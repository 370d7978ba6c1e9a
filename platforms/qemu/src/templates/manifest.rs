//! What a template is, in a file beside its files.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use chrono::{DateTime, Utc};
use kolea_machine::GuestFacts;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::TemplateKey;
use super::names::{LOCK, MANIFEST};
use crate::cache::hex;

/// The version of the format of templates.
const FORMAT: u32 = 1;
/// Files up to this size, in bytes, are checked as a whole; of larger ones (disk, memory) only the size is.
const HASHED: u64 = 16 << 20;

/// A file of a template.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct FileFacts {
    /// In bytes.
    size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    sha256: Option<String>,
}

/// The manifest of a template.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    format: u32,
    /// What it is of.
    pub key: TemplateKey,
    /// When it was frozen.
    pub created: DateTime<Utc>,
    /// What its guest said.
    pub guest: GuestFacts,
    files: BTreeMap<String, FileFacts>,
}

impl Manifest {
    /// Looks at the files in a directory, brings them to the disk, and writes the manifest.
    pub fn write(dir: &Path, key: TemplateKey, guest: GuestFacts) -> io::Result<Manifest> {
        let mut files = BTreeMap::new();
        for entry in fs::read_dir(dir)? {
            let entry = entry?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == LOCK {
                continue;
            }
            File::open(entry.path())?.sync_all()?;
            files.insert(name, FileFacts::of(&entry.path())?);
        }
        let manifest = Manifest {
            format: FORMAT,
            key,
            created: Utc::now(),
            guest,
            files,
        };
        let mut file = File::create_new(dir.join(MANIFEST))?;
        file.write_all(&serde_json::to_vec_pretty(&manifest)?)?;
        file.sync_all()?;
        File::open(dir)?.sync_all()?;
        Ok(manifest)
    }

    /// Reads the manifest in a directory. The error is for people.
    pub fn read(dir: &Path) -> Result<Manifest, String> {
        let text = fs::read(dir.join(MANIFEST)).map_err(|error| format!("{MANIFEST}: {error}"))?;
        let manifest: Manifest =
            serde_json::from_slice(&text).map_err(|error| format!("{MANIFEST}: {error}"))?;
        if manifest.format != FORMAT {
            return Err(format!("its format is {}, not {FORMAT}", manifest.format));
        }
        Ok(manifest)
    }

    /// Whether all files are as they were. The error names the first that is not.
    pub fn check(&self, dir: &Path) -> Result<(), String> {
        for (name, expected) in &self.files {
            let path = dir.join(name);
            let size = path
                .metadata()
                .map_err(|error| format!("{name}: {error}"))?
                .len();
            if size != expected.size {
                return Err(format!(
                    "{name} has {size} bytes instead of {}",
                    expected.size
                ));
            }
            let found = FileFacts::of(&path).map_err(|error| format!("{name}: {error}"))?;
            if found != *expected {
                return Err(format!("{name} was changed"));
            }
        }
        Ok(())
    }
}

impl FileFacts {
    fn of(path: &Path) -> io::Result<FileFacts> {
        let size = path.metadata()?.len();
        let sha256 = if size <= HASHED {
            Some(hex(&Sha256::digest(fs::read(path)?)))
        } else {
            None
        };
        Ok(FileFacts { size, sha256 })
    }
}

#[cfg(test)]
mod tests {
    use super::super::key::testing::key;
    use super::*;

    #[test]
    fn changes_are_found_and_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("state"), "state").unwrap();
        fs::write(path(LOCK), "").unwrap();
        File::create(path("ram"))
            .unwrap()
            .set_len(HASHED * 2)
            .unwrap();
        let guest = GuestFacts {
            boot_id: "b".to_owned(),
            ..GuestFacts::default()
        };
        let written = Manifest::write(dir.path(), key("a"), guest).unwrap();
        let read = Manifest::read(dir.path()).unwrap();
        assert_eq!(read, written);
        assert_eq!(read.check(dir.path()), Ok(()));

        let fault = || read.check(dir.path()).unwrap_err();
        fs::write(path("state"), "stale").unwrap();
        assert_eq!(fault(), "state was changed");
        fs::write(path("state"), "").unwrap();
        assert_eq!(fault(), "state has 0 bytes instead of 5");
        fs::write(path("state"), "state").unwrap();
        File::create(path("ram")).unwrap().set_len(HASHED).unwrap();
        assert!(fault().starts_with("ram has 16777216 bytes"));
        fs::remove_file(path("ram")).unwrap();
        assert!(fault().starts_with("ram: No such file"));

        fs::write(path(MANIFEST), "{").unwrap();
        assert!(Manifest::read(dir.path()).unwrap_err().contains("EOF"));
    }
}
