//! The output directory: kola's rules on when an existing one may be wiped, and a lock so that two runs never share one.

use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

/// kola's mark for a directory that it made and may wipe; kolea keeps a lock on it while it runs.
const MARK: &str = ".harness_temp";

/// A locked output directory.
#[derive(Debug)]
pub struct OutputDir {
    /// Its absolute path.
    pub path: PathBuf,
    _lock: File,
}

impl OutputDir {
    /// Makes `path`, or empties it if it is an earlier run's.
    pub fn prepare(path: &Path) -> anyhow::Result<OutputDir> {
        let describe = || format!("cannot use output directory {}", path.display());
        let path = std::path::absolute(path).with_context(describe)?;
        match fs::read_dir(&path) {
            Ok(entries) => {
                let entries = entries
                    .collect::<io::Result<Vec<_>>>()
                    .with_context(describe)?;
                let ours = entries.iter().any(|entry| entry.file_name() == MARK);
                if !entries.is_empty() && !ours {
                    bail!(
                        "cannot use output directory {}: it is not empty and not from an earlier run; name another one",
                        path.display()
                    );
                }
                let lock = lock(&path)?;
                for entry in entries {
                    if entry.file_name() == MARK {
                        continue;
                    }
                    let wipe = if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
                        fs::remove_dir_all(entry.path())
                    } else {
                        fs::remove_file(entry.path())
                    };
                    wipe.with_context(|| {
                        format!("cannot empty output directory {}", path.display())
                    })?;
                }
                Ok(OutputDir { path, _lock: lock })
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                fs::create_dir_all(&path).with_context(describe)?;
                let lock = lock(&path)?;
                Ok(OutputDir { path, _lock: lock })
            }
            Err(error) => Err(error).with_context(describe),
        }
    }

    /// `<parent>/<platform>-<date>-<pid>`, and the link `<platform>-latest` to it, as kola has it.
    pub fn default_path(parent: &Path, platform: &str) -> anyhow::Result<PathBuf> {
        let name = format!(
            "{platform}-{}-{}",
            chrono::Local::now().format("%Y-%m-%d-%H%M"),
            std::process::id()
        );
        fs::create_dir_all(parent)
            .with_context(|| format!("cannot make output directory {}", parent.display()))?;
        // A link that is missing for an instant is no harm; one that another run has just made is replaced by a newer one.
        let link = parent.join(format!("{platform}-latest"));
        let _ = fs::remove_file(&link);
        let _ = std::os::unix::fs::symlink(&name, &link);
        Ok(parent.join(name))
    }
}

fn lock(path: &Path) -> anyhow::Result<File> {
    let mark = path.join(MARK);
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(&mark)
        .with_context(|| format!("cannot write to output directory {}", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => bail!(
            "output directory {} is in use by another run; name another one",
            path.display()
        ),
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("cannot lock {}", mark.display()))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_earlier_run_is_wiped_and_anything_else_is_kept() {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("out");
        drop(OutputDir::prepare(&dir).unwrap());
        fs::create_dir(dir.join("test")).unwrap();
        fs::write(dir.join("junit.xml"), "old").unwrap();
        let again = OutputDir::prepare(&dir).unwrap();
        assert!(!again.path.join("junit.xml").exists());
        assert!(!again.path.join("test").exists());

        let foreign = temp.path().join("foreign");
        fs::create_dir(&foreign).unwrap();
        fs::write(foreign.join("thesis.txt"), "precious").unwrap();
        let error = OutputDir::prepare(&foreign).unwrap_err().to_string();
        assert!(error.contains("not empty"), "{error}");
        assert!(foreign.join("thesis.txt").exists());
    }

    #[test]
    fn two_runs_never_share_a_directory() {
        let temp = tempfile::tempdir().unwrap();
        let first = OutputDir::prepare(temp.path()).unwrap();
        let error = OutputDir::prepare(temp.path()).unwrap_err().to_string();
        assert!(error.contains("in use"), "{error}");
        drop(first);
        OutputDir::prepare(temp.path()).unwrap();
    }
}
