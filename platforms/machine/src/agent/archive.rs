//! The tar stream in which files are brought into the guest.

use std::fs;
use std::path::Path;

use tar::{Builder, EntryType, Header};

use crate::MachineError;

/// How deep a test's data may be nested; deeper is a loop of symbolic links.
const MAX_DEPTH: usize = 30;

/// Everything in it belongs to root, and nothing is writable for others. Paths of the guest are relative to its root.
pub(super) struct Archive(Builder<Vec<u8>>);

impl Archive {
    pub(super) fn new() -> Archive {
        Archive(Builder::new(Vec::new()))
    }

    pub(super) fn finish(self) -> Result<Vec<u8>, MachineError> {
        self.0.into_inner().map_err(|error| packing(&error))
    }

    /// Adds a directory of the host with all that is in it. Symbolic links are followed.
    pub(super) fn add_directory(
        &mut self,
        host: &Path,
        guest: &str,
        depth: usize,
    ) -> Result<(), MachineError> {
        if depth > MAX_DEPTH {
            return Err(MachineError::Harness(format!(
                "test data `{}` is nested too deeply: do its symbolic links form a loop?",
                host.display()
            )));
        }
        let mut header = header(0o755);
        header.set_entry_type(EntryType::Directory);
        header.set_size(0);
        self.0
            .append_data(&mut header, format!("{guest}/"), std::io::empty())
            .map_err(|error| packing(&error))?;
        let mut names = fs::read_dir(host)
            .and_then(|entries| {
                entries
                    .map(|entry| entry.map(|entry| entry.file_name()))
                    .collect::<Result<Vec<_>, _>>()
            })
            .map_err(|error| unreadable(host, &error))?;
        names.sort();
        for name in names {
            let path = host.join(&name);
            let Some(name) = name.to_str() else {
                return Err(MachineError::Harness(format!(
                    "test data `{}` has a name that is not UTF-8",
                    path.display()
                )));
            };
            let guest = format!("{guest}/{name}");
            let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
            if metadata.is_dir() {
                self.add_directory(&path, &guest, depth + 1)?;
            } else if metadata.is_file() {
                use std::os::unix::fs::PermissionsExt;
                let executable = metadata.permissions().mode() & 0o111 != 0;
                self.add_file(&path, &guest, executable)?;
            } else {
                return Err(MachineError::Harness(format!(
                    "test data `{}` is neither a file nor a directory",
                    path.display()
                )));
            }
        }
        Ok(())
    }

    /// Adds a file of the host.
    pub(super) fn add_file(
        &mut self,
        host: &Path,
        guest: &str,
        executable: bool,
    ) -> Result<(), MachineError> {
        let contents = fs::read(host).map_err(|error| unreadable(host, &error))?;
        self.append(guest, if executable { 0o755 } else { 0o644 }, &contents)
    }

    /// Adds a file.
    pub(super) fn append(
        &mut self,
        guest: &str,
        mode: u32,
        contents: &[u8],
    ) -> Result<(), MachineError> {
        let mut header = header(mode);
        header.set_size(contents.len() as u64);
        self.0
            .append_data(&mut header, guest, contents)
            .map_err(|error| packing(&error))
    }
}

fn header(mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn packing(error: &std::io::Error) -> MachineError {
    MachineError::Harness(format!("cannot pack the tests: {error}"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> MachineError {
    let dangling = error.kind() == std::io::ErrorKind::NotFound
        && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if dangling {
        let target = fs::read_link(path).unwrap_or_default();
        return MachineError::Harness(format!(
            "cannot copy `{}` to the machine: it is a symbolic link to `{}`, which does not exist",
            path.display(),
            target.display()
        ));
    }
    MachineError::Harness(format!(
        "cannot copy `{}` to the machine: {error}",
        path.display()
    ))
}
