//! Files of disks, and room on the host's disk.

use std::ffi::OsString;
use std::io;
use std::path::Path;

use kolea_machine::MachineError;

use crate::tools;

/// What has to be free for a guest's memory in a file, besides its size, in MiB: for its disk, its state, its artefacts.
const RESERVE_MIB: u64 = 256;

/// What an overlay lies on.
#[derive(Clone, Copy, Debug)]
pub struct Backing<'a> {
    /// Absolute path: it is written into the overlay.
    pub path: &'a Path,
    /// `qcow2` or `raw`.
    pub format: &'a str,
}

/// Makes an overlay. `size`: that of the guest's disk in bytes, if it is not the backing's.
pub async fn create_overlay(
    qemu_img: &Path,
    backing: Backing<'_>,
    size: Option<u64>,
    disk: &Path,
) -> Result<(), MachineError> {
    create(qemu_img, Some(backing), size, disk).await
}

/// Makes a disk that nothing was ever written to, of that size in bytes.
pub async fn create_disk(qemu_img: &Path, size: u64, disk: &Path) -> Result<(), MachineError> {
    create(qemu_img, None, Some(size), disk).await
}

async fn create(
    qemu_img: &Path,
    backing: Option<Backing<'_>>,
    size: Option<u64>,
    disk: &Path,
) -> Result<(), MachineError> {
    let mut args: Vec<OsString> = ["create", "-q", "-f", "qcow2", "-o", "lazy_refcounts=on"]
        .map(OsString::from)
        .to_vec();
    if let Some(backing) = backing {
        args.extend(["-b".into(), backing.path.into()]);
        args.extend(["-F".into(), backing.format.into()]);
    }
    args.push(disk.into());
    args.extend(size.map(|size| size.to_string().into()));
    let output = tools::output(qemu_img, args)
        .await
        .map_err(|error| MachineError::Launch(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let words = tools::last_words(&output.stderr);
    let message = format!("cannot create the disk {}: {words}", disk.display());
    Err(if words.contains("No space left on device") {
        MachineError::DiskFull(message)
    } else {
        MachineError::Launch(message)
    })
}

/// Refuses if a guest's memory would not fit into a file in that directory: a guest that finds out itself is killed.
pub fn check_room(dir: &Path, memory_mib: u64) -> Result<(), MachineError> {
    let free = nix::sys::statvfs::statvfs(dir)
        .map_err(|error| file_error("look at the disk of", dir, &error.into()))?;
    let free_mib = (free.blocks_available() * free.fragment_size()) >> 20;
    let needed = memory_mib + RESERVE_MIB;
    if free_mib < needed {
        return Err(MachineError::DiskFull(format!(
            "a template in {} needs {needed} MiB, and {free_mib} MiB are free; make room there, or use no templates",
            dir.display()
        )));
    }
    Ok(())
}

/// An error with a file, told from a full disk.
pub fn file_error(action: &str, path: &Path, error: &io::Error) -> MachineError {
    let message = format!("cannot {action} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            MachineError::DiskFull(message)
        }
        _ => MachineError::Harness(message),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_does_not_fit_is_refused_at_once() {
        let dir = tempfile::tempdir().unwrap();
        assert!(check_room(dir.path(), 1).is_ok());
        let error = check_room(dir.path(), 1 << 40).unwrap_err();
        assert!(matches!(error, MachineError::DiskFull(_)), "{error}");
        let error = file_error("write", dir.path(), &io::ErrorKind::StorageFull.into());
        assert!(matches!(error, MachineError::DiskFull(_)), "{error}");
    }
}
