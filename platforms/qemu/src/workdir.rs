//! The directory of a run's overlays: made by its platform, locked while it lives, and removed by the next run if it could
//! not do so itself (it was killed, or the host went down).

use std::fs::{self, File, TryLockError};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::path::{Path, PathBuf};

use crate::QemuError;

/// A run's own directory. Removed by [`WorkDir::remove`] or, at the latest, on drop.
#[derive(Debug)]
pub struct WorkDir {
    path: PathBuf,
    // Held for as long as the process lives; the kernel lets go of it whatever ends us.
    _lock: File,
}

const LOCK: &str = "lock";

fn prefix() -> String {
    format!("kolea-{}-", nix::unistd::Uid::effective())
}

/// The parent of all runs' directories: `$TMPDIR`, or `/var/tmp`, since overlays grow and `/tmp` is often memory.
pub fn default_parent() -> PathBuf {
    std::env::var_os("TMPDIR")
        .filter(|dir| !dir.is_empty())
        .map_or_else(|| PathBuf::from("/var/tmp"), PathBuf::from)
}

impl WorkDir {
    /// Makes the directory, and removes those of dead runs of the same user beside it.
    pub fn create(parent: &Path) -> Result<WorkDir, QemuError> {
        let error = |action, path: &Path| {
            let path = path.to_owned();
            move |source| QemuError::Directory {
                action,
                path,
                source,
            }
        };
        fs::create_dir_all(parent).map_err(error("create the work directory", parent))?;
        // A relative path would be taken from the directory of whatever file names it.
        let parent = fs::canonicalize(parent).map_err(error("use the work directory", parent))?;
        remove_dead(&parent);
        let name = format!("{}{}", prefix(), uuid::Uuid::new_v4().simple());
        let path = parent.join(name);
        // Nobody else may read what guests write.
        fs::DirBuilder::new()
            .mode(0o700)
            .create(&path)
            .map_err(error("create the work directory", &path))?;
        let lock = lock_new(&path).map_err(error("lock the work directory", &path))?;
        Ok(WorkDir { path, _lock: lock })
    }

    /// Its path, absolute.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Names of what is in it, the lock excepted.
    pub fn leftovers(&self) -> Vec<String> {
        let Ok(entries) = fs::read_dir(&self.path) else {
            return Vec::new();
        };
        entries
            .flatten()
            .map(|entry| entry.file_name().to_string_lossy().into_owned())
            .filter(|name| name != LOCK)
            .collect()
    }

    /// Removes it with everything in it.
    pub fn remove(&self) -> io::Result<()> {
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            result => result,
        }
    }
}

impl Drop for WorkDir {
    fn drop(&mut self) {
        if let Err(error) = self.remove() {
            tracing::warn!("cannot remove {}: {error}", self.path.display());
        }
    }
}

fn lock_new(dir: &Path) -> io::Result<File> {
    let file = File::create(dir.join(LOCK))?;
    file.try_lock()?;
    Ok(file)
}

/// Removes the directories of runs that are gone. What can't be removed is left; it is not this run's.
fn remove_dead(parent: &Path) {
    let own = nix::unistd::Uid::effective().as_raw();
    let prefix = prefix();
    for entry in fs::read_dir(parent).into_iter().flatten().flatten() {
        let name = entry.file_name();
        // No symbolic links, and nobody else's directories: the parent is open to everybody.
        let ours = name.to_string_lossy().starts_with(&prefix)
            && fs::symlink_metadata(entry.path())
                .is_ok_and(|data| data.is_dir() && data.uid() == own);
        if ours && is_dead(&entry.path()) {
            match fs::remove_dir_all(entry.path()) {
                Ok(()) => tracing::info!("removed {} of a dead run", entry.path().display()),
                Err(error) => {
                    tracing::warn!("cannot remove {}: {error}", entry.path().display());
                }
            }
        }
    }
}

fn is_dead(dir: &Path) -> bool {
    match File::open(dir.join(LOCK)) {
        Ok(lock) => match lock.try_lock() {
            Ok(()) => true,
            Err(TryLockError::WouldBlock | TryLockError::Error(_)) => false,
        },
        // Between the directory and its lock are microseconds; a minute later it will never get one.
        Err(error) if error.kind() == io::ErrorKind::NotFound => fs::metadata(dir)
            .and_then(|data| data.modified())
            .is_ok_and(|time| time.elapsed().is_ok_and(|age| age.as_secs() > 60)),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dead_runs_are_cleaned_up_and_living_ones_left_alone() {
        let parent = tempfile::tempdir().unwrap();
        let dead = parent.path().join(format!("{}dead", prefix()));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join(LOCK), "").unwrap();
        fs::write(dead.join("overlay.qcow2"), "data").unwrap();
        let other = parent.path().join("kolea-of-somebody");
        fs::create_dir(&other).unwrap();
        let starting = parent.path().join(format!("{}starting", prefix()));
        fs::create_dir(&starting).unwrap();

        let first = WorkDir::create(parent.path()).unwrap();
        assert!(!dead.exists());
        assert!(other.exists());
        assert!(starting.exists());

        let second = WorkDir::create(parent.path()).unwrap();
        assert!(first.path().exists());
        fs::write(second.path().join("disk"), "").unwrap();
        assert_eq!(second.leftovers(), ["disk"]);
        let path = second.path().to_owned();
        drop(second);
        assert!(!path.exists());
        assert!(first.path().exists());
    }
}
