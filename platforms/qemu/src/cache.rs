//! Answers that hold beyond a run. Losing them costs time and nothing else, so every failure means "not cached".

use std::fs;
use std::io::Write;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

/// A directory of small JSON files, one an answer.
#[derive(Clone, Debug)]
pub struct Cache {
    dir: PathBuf,
}

#[derive(Serialize, Deserialize)]
struct Entry<T> {
    key: String,
    value: T,
}

impl Cache {
    /// A cache in that directory, which is made when something is put in.
    pub fn new(dir: PathBuf) -> Cache {
        Cache { dir }
    }

    /// The answer of that kind that was kept for `key`.
    pub fn get<T: for<'de> Deserialize<'de>>(&self, kind: &str, key: &str) -> Option<T> {
        let text = fs::read(self.path(kind, key)).ok()?;
        let entry: Entry<T> = serde_json::from_slice(&text).ok()?;
        (entry.key == key).then_some(entry.value)
    }

    /// Keeps an answer; parallel runs may do so at the same time.
    pub fn put<T: Serialize>(&self, kind: &str, key: &str, value: T) {
        if let Err(error) = self.write(kind, key, value) {
            tracing::debug!(%error, kind, "cannot cache an answer in {}", self.dir.display());
        }
    }

    fn write<T: Serialize>(&self, kind: &str, key: &str, value: T) -> std::io::Result<()> {
        fs::create_dir_all(&self.dir)?;
        let entry = Entry {
            key: key.to_owned(),
            value,
        };
        let mut file = tempfile::NamedTempFile::new_in(&self.dir)?;
        file.write_all(&serde_json::to_vec(&entry)?)?;
        file.persist(self.path(kind, key))?;
        Ok(())
    }

    fn path(&self, kind: &str, key: &str) -> PathBuf {
        let digest = hex(&Sha256::digest(key.as_bytes()));
        self.dir.join(format!("{kind}-{}.json", &digest[..16]))
    }
}

/// Bytes as lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_is_kept_for_its_key_only() {
        let dir = tempfile::tempdir().unwrap();
        let cache = Cache::new(dir.path().join("new"));
        assert_eq!(cache.get::<u32>("n", "a"), None);
        cache.put("n", "a", 7_u32);
        assert_eq!(cache.get::<u32>("n", "a"), Some(7));
        assert_eq!(cache.get::<u32>("n", "b"), None);
        fs::write(cache.path("n", "a"), "torn").unwrap();
        assert_eq!(cache.get::<u32>("n", "a"), None);
    }
}
