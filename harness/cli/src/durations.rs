//! How long tests took last time, so that the longest can be started first.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Seconds by test name, kept in the cache directory.
#[derive(Debug)]
pub struct Durations {
    path: PathBuf,
    seconds: BTreeMap<String, f64>,
}

impl Durations {
    /// What earlier runs left; nothing if they left nothing that can be read.
    pub fn load(cache_dir: &Path) -> Durations {
        let path = cache_dir.join("durations.json");
        let seconds = std::fs::read(&path)
            .ok()
            .and_then(|bytes| serde_json::from_slice(&bytes).ok())
            .unwrap_or_default();
        Durations { path, seconds }
    }

    /// Seconds by test name.
    pub fn seconds(&self) -> &BTreeMap<String, f64> {
        &self.seconds
    }

    /// Notes a new duration, halfway between the old one and this.
    pub fn note(&mut self, test: &str, seconds: f64) {
        self.seconds
            .entry(test.to_owned())
            .and_modify(|known| *known = f64::midpoint(*known, seconds))
            .or_insert(seconds);
    }

    /// Saves them. Losing them costs order, nothing else: errors are only worth a debug message.
    pub fn save(&self) {
        let save = || -> std::io::Result<()> {
            let parent = self.path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(parent)?;
            let partial = self.path.with_extension(format!("{}", std::process::id()));
            std::fs::write(&partial, serde_json::to_vec(&self.seconds)?)?;
            std::fs::rename(&partial, &self.path)
        };
        if let Err(error) = save() {
            tracing::debug!("cannot save {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_kept_and_smoothed() {
        let temp = tempfile::tempdir().unwrap();
        let mut durations = Durations::load(temp.path());
        durations.note("a", 10.0);
        durations.note("a", 20.0);
        durations.save();
        assert_eq!(Durations::load(temp.path()).seconds()["a"], 15.0);
        std::fs::write(temp.path().join("durations.json"), "garbage").unwrap();
        assert!(Durations::load(temp.path()).seconds().is_empty());
    }
}
