//! The directory of what only one machine's process needs: disk, firmware variables, memory.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Names in such a directory, and in a template, which is made of one.
pub mod names {
    /// The primary disk's overlay.
    pub const DISK: &str = "disk.qcow2";
    /// The copy of the live ISO.
    pub const ISO: &str = "live.iso";
    /// The variables of the UEFI firmware.
    pub const FIRMWARE_VARS: &str = "firmware-vars.fd";
    /// The directory of the TPM's state.
    pub const TPM: &str = "tpm";
    /// The disk with cloud-init's files.
    pub const SEED: &str = "cidata.img";
    /// The guest's memory.
    pub const RAM: &str = "ram";

    /// A disk besides the primary one, by its number.
    pub fn additional_disk(number: usize) -> String {
        format!("disk-{number}.qcow2")
    }
}

/// A directory that is removed on drop, unless it is to stay.
#[derive(Debug)]
pub struct MachineFiles {
    path: PathBuf,
    stays: bool,
    // Held for as long as the directory is used; in the template cache others look at it.
    _lock: Option<File>,
}

impl MachineFiles {
    /// Makes a directory that nobody else may read.
    pub fn create(path: PathBuf) -> io::Result<MachineFiles> {
        fs::DirBuilder::new().mode(0o700).create(&path)?;
        Ok(MachineFiles {
            path,
            stays: false,
            _lock: None,
        })
    }

    /// A directory that is there and locked.
    pub fn locked(path: PathBuf, lock: File, stays: bool) -> MachineFiles {
        MachineFiles {
            path,
            stays,
            _lock: Some(lock),
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Gives it its final place on the same file system, where it stays.
    pub fn move_to(&mut self, path: &Path) -> io::Result<()> {
        fs::rename(&self.path, path)?;
        self.path = path.to_owned();
        self.stays = true;
        Ok(())
    }
}

impl Drop for MachineFiles {
    fn drop(&mut self) {
        if self.stays {
            return;
        }
        match fs::remove_dir_all(&self.path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                tracing::warn!("cannot remove {}: {error}", self.path.display());
            }
            _ => {}
        }
    }
}

/// The files of a running machine: its supervisor removes them with the process, unless they were taken before.
#[derive(Clone, Debug)]
pub struct SharedFiles(Arc<Mutex<Option<MachineFiles>>>);

impl SharedFiles {
    /// Shares them.
    pub fn new(files: MachineFiles) -> SharedFiles {
        SharedFiles(Arc::new(Mutex::new(Some(files))))
    }

    /// Takes them; whoever does is responsible for them.
    pub fn take(&self) -> Option<MachineFiles> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_go_with_their_machine_unless_they_were_taken() {
        let dir = tempfile::tempdir().unwrap();
        let files = |name| MachineFiles::create(dir.path().join(name)).unwrap();
        let shared = SharedFiles::new(files("a"));
        fs::write(dir.path().join("a/disk"), "").unwrap();
        let mut taken = shared.take().unwrap();
        assert!(shared.take().is_none());
        taken.move_to(&dir.path().join("b")).unwrap();
        drop(taken);
        assert!(dir.path().join("b/disk").exists());
        drop(SharedFiles::new(files("c")).take());
        assert!(!dir.path().join("c").exists());
    }
}
