//! A template that can be cloned.

use std::any::Any;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use kolea_machine::journal::RawEntry;
use kolea_machine::{GuestFacts, Template};

use super::evict;
use super::manifest::Manifest;
use super::names::{JOURNAL, MANIFEST};
use crate::files::MachineFiles;
use crate::pumps::JournalState;

/// A template. Its files stay for as long as it lives, and longer if they are in the cache.
#[derive(Debug)]
pub struct Frozen {
    name: String,
    dir: PathBuf,
    manifest: Manifest,
    journal: JournalState,
    disk_mib: u64,
    /// The cache that it is in.
    cache: Option<PathBuf>,
    /// `None` once it is gone.
    files: Mutex<Option<MachineFiles>>,
}

impl Frozen {
    /// A template in its final place. `cache`: the cache, if it is in one.
    pub fn new(files: MachineFiles, manifest: Manifest, cache: Option<PathBuf>) -> Frozen {
        let dir = files.path().to_owned();
        Frozen {
            name: manifest.key.name(),
            journal: journal_state(&dir.join(JOURNAL)),
            disk_mib: disk_mib(&dir),
            manifest,
            cache,
            files: Mutex::new(Some(files)),
            dir,
        }
    }

    /// Whether it is in no cache.
    pub fn ends_with_run(&self) -> bool {
        self.cache.is_none()
    }

    /// What it is.
    pub fn manifest(&self) -> &Manifest {
        &self.manifest
    }

    /// Where its journal ends.
    pub fn journal(&self) -> &JournalState {
        &self.journal
    }
}

impl Template for Frozen {
    fn key(&self) -> &str {
        &self.name
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    fn guest(&self) -> &GuestFacts {
        &self.manifest.guest
    }

    fn disk_mib(&self) -> u64 {
        self.disk_mib
    }

    fn withdraw(&self) {
        if self.cache.is_none() {
            return;
        }
        // Without its manifest nobody finds it; whoever uses it does not need that.
        match fs::remove_file(self.dir.join(MANIFEST)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::warn!("cannot withdraw {}: {error}", self.dir.display());
            }
            _ => {}
        }
    }

    fn as_any(&self) -> &dyn Any {
        self
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        // Lets go of the lock, and removes what is not in the cache.
        drop(
            self.files
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .take(),
        );
        if let Some(cache) = &self.cache
            && !self.dir.join(MANIFEST).exists()
        {
            evict::sweep(cache);
        }
    }
}

/// What a directory's files occupy, in MiB, rounded up. Holes occupy nothing.
pub fn disk_mib(dir: &Path) -> u64 {
    let blocks: u64 = fs::read_dir(dir)
        .into_iter()
        .flatten()
        .flatten()
        .filter_map(|entry| entry.metadata().ok())
        .map(|data| data.blocks())
        .sum();
    (blocks * 512).div_ceil(1 << 20)
}

/// Where a journal that was written as JSON ends.
fn journal_state(path: &Path) -> JournalState {
    let mut state = JournalState::default();
    let Ok(file) = fs::File::open(path) else {
        return state; // a guest that said nothing
    };
    let mut last = None;
    for line in BufReader::new(file).lines().map_while(Result::ok) {
        if let Some(entry) = RawEntry::from_json_line(&line) {
            state.parser.pass(&entry);
            if entry.get("MESSAGE").is_some_and(|text| !text.is_empty()) {
                last = Some(entry);
            }
        }
    }
    if let Some(entry) = last {
        state.text.lines(&entry.to_entry());
    }
    state
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_journal_goes_on_where_it_ended() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(JOURNAL);
        let line = |cursor: &str| {
            format!("{{\"__CURSOR\":\"{cursor}\",\"_BOOT_ID\":\"b\",\"MESSAGE\":\"m\"}}\n")
        };
        fs::write(&path, format!("{}{}", line("a"), line("b"))).unwrap();
        let mut state = journal_state(&path);
        let entry = |cursor: &str, boot: &str| {
            format!("__CURSOR={cursor}\n_BOOT_ID={boot}\nMESSAGE=m\n\n").into_bytes()
        };
        let mut stream = entry("b", "b");
        stream.extend(entry("c", "b"));
        stream.extend(entry("d", "other"));
        let entries = state.parser.feed(&stream);
        assert_eq!(entries.len(), 2);
        let text: String = entries
            .iter()
            .map(|raw| state.text.lines(&raw.to_entry()))
            .collect();
        assert_eq!(text.matches("-- Reboot --").count(), 1, "{text}");
        assert!(!text.starts_with("-- Reboot"), "{text}");
    }

    #[test]
    fn holes_occupy_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let file = fs::File::create(dir.path().join("ram")).unwrap();
        file.set_len(1 << 30).unwrap();
        assert!(disk_mib(dir.path()) < 16);
    }
}
