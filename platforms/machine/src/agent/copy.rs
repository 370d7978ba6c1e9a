//! Copying a file of the host into the guest that may be too large for the memory.

use std::path::Path;

use tokio::fs::File;
use tokio::io::AsyncReadExt;

use super::quote;
use super::run::last_line;
use crate::{Exec, Machine, MachineError, RunBy};

/// How much of the file is in memory at a time, in bytes. A command's input has to be there as a whole, so the file goes in
/// pieces, each with a command of its own (about 5 ms over a connection that is open).
const PIECE: usize = 16 << 20;

/// Copies a file into the home of the profile's user, under the name that it has on the host (label `copy`). It belongs to that
/// user, and appears when it is complete.
pub async fn copy_to_home(machine: &dyn Machine, host: &Path) -> Result<(), MachineError> {
    copy(machine, host, "\"$HOME\"", PIECE).await
}

/// The name that a file of the host has in the guest.
pub(super) fn name_of(host: &Path) -> String {
    let name = host.file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}

/// Copies a file to `folder`, which is a word of the shell.
pub(super) async fn copy(
    machine: &dyn Machine,
    host: &Path,
    folder: &str,
    piece: usize,
) -> Result<(), MachineError> {
    let unreadable = |error: std::io::Error| {
        MachineError::Harness(format!(
            "cannot read `{}` to copy it to the machine: {error}",
            host.display()
        ))
    };
    let target = format!("{folder}/{}", quote(&name_of(host)));
    let mut file = File::open(host).await.map_err(unreadable)?;
    let mut total = 0;
    loop {
        let mut bytes = Vec::with_capacity(piece);
        let mut part = (&mut file).take(piece as u64);
        part.read_to_end(&mut bytes).await.map_err(unreadable)?;
        let last = bytes.len() < piece;
        let how = if total == 0 { ">" } else { ">>" };
        total += bytes.len();
        let mut command = format!("cat {how}{target}.partial");
        if last {
            command.push_str(&format!(
                " && [ \"$(wc -c <{target}.partial)\" -eq {total} ] && mv -f {target}.partial {target}"
            ));
        }
        let output = machine
            .exec(Exec {
                label: "copy",
                command,
                stdin: bytes,
                by: RunBy::User,
            })
            .await?;
        if output.status != 0 {
            return Err(MachineError::Guest(format!(
                "cannot copy `{}` to the machine (status {}): {}",
                host.display(),
                output.status,
                last_line(&output.stderr_text())
            )));
        }
        if last {
            return Ok(());
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::agent::testing::LocalMachine;

    #[tokio::test]
    async fn a_file_arrives_whole_whatever_its_length() {
        let dir = tempfile::tempdir().unwrap();
        let host = dir.path().join("a 'b'.ociarchive");
        for (length, commands) in [(0, 1), (5, 1), (8, 2), (21, 3)] {
            let machine = LocalMachine::new();
            fs::create_dir(machine.path("home")).unwrap();
            let bytes: Vec<u8> = (0..length).collect();
            fs::write(&host, &bytes).unwrap();
            copy(&machine, &host, "\"$HOME\"", 8).await.unwrap();
            let home = machine.path("home");
            assert_eq!(fs::read(home.join("a 'b'.ociarchive")).unwrap(), bytes);
            assert_eq!(fs::read_dir(&home).unwrap().count(), 1);
            assert_eq!(*machine.labels.lock().unwrap(), vec!["copy"; commands]);
        }
    }

    #[tokio::test]
    async fn what_went_wrong_is_said() {
        let machine = LocalMachine::new();
        let error = copy_to_home(&machine, Path::new("/nowhere/x")).await;
        assert!(
            error
                .unwrap_err()
                .to_string()
                .starts_with("cannot read `/nowhere/x` to copy it to the machine: ")
        );
        let error = copy_to_home(&machine, Path::new("/etc/passwd")).await;
        let error = error.unwrap_err().to_string();
        assert!(
            error.starts_with("cannot copy `/etc/passwd` to the machine (status ")
                && error.contains("passwd.partial"),
            "{error}"
        );
    }
}
