//! swtpm: the process that is the TPM 2.0 of one machine.
//!
//! Nothing is waited for: both ends of its control socket are there before it and QEMU start, and are inherited. swtpm_setup is
//! not needed: it would add a manufacturer's certificates; the TPM makes its seeds itself when it is switched on first.
//!
//! Its state is in the machine's own directory. QEMU saves it with the state of all other devices, and gives it back to the
//! process of a clone, which begins with nothing.

use std::ffi::OsString;
use std::fs::{DirBuilder, File};
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use command_fds::FdMapping;
use kolea_machine::MachineError;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Child;
use tokio::time::timeout;

use crate::files::names;
use crate::helper::Helper;
use crate::{process, tools};

/// What a swtpm costs the host, in MiB (measured: 7, of which 1 is its own).
pub const SWTPM_MIB: u64 = 8;
/// The control socket's number in swtpm.
const CONTROL: i32 = 3;
/// The number of the directory of its state, which is named by that: a path could have commas.
const STATE: i32 = 4;
/// CMD_INIT without flags, and CMD_SHUTDOWN (swtpm_ioctls(3)). Each is answered by a number: 0 for success.
const ORDERS: [&[u8]; 2] = [&[0, 0, 0, 2, 0, 0, 0, 0], &[0, 0, 0, 3]];
/// How long the trial may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// The swtpm of this host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Swtpm {
    program: PathBuf,
}

impl Swtpm {
    /// Finds it, and tries it in the directory `scratch`, where machines will be: AppArmor may keep it out. The error is for
    /// people.
    pub async fn find(scratch: &Path) -> Result<Swtpm, String> {
        let program = tools::find("swtpm", "swtpm").map_err(|error| error.to_string())?;
        let swtpm = Swtpm { program };
        let trial = async || -> io::Result<()> {
            let dir = tempfile::Builder::new()
                .prefix("swtpm-")
                .tempdir_in(scratch)?;
            swtpm.try_out(dir.path()).await
        };
        match trial().await {
            Ok(()) => Ok(swtpm),
            Err(error) => Err(format!(
                "{} does not work in {}: {error}",
                swtpm.program.display(),
                scratch.display()
            )),
        }
    }

    /// What identifies it, for the keys of templates.
    pub fn fingerprint(&self) -> String {
        tools::fingerprint(&self.program).unwrap_or_default()
    }

    /// Has one switch a TPM on and end. Takes about 20 ms.
    async fn try_out(&self, dir: &Path) -> io::Result<()> {
        let (mut child, ours) = self.spawn(dir).await?;
        ours.set_nonblocking(true)?;
        let mut control = tokio::net::UnixStream::from_std(ours)?;
        let talk = async {
            for order in ORDERS {
                // More than one order at a time is more than it reads.
                control.write_all(order).await?;
                if control.read_u32().await? != 0 {
                    return Err(io::Error::other("it does not obey"));
                }
            }
            child.wait().await
        };
        let ended = timeout(PATIENCE, talk)
            .await
            .map_err(|_| io::Error::other("it does not answer"))?;
        if ended.as_ref().is_ok_and(ExitStatus::success) {
            return Ok(());
        }
        // It may have ended before it answered, and said why.
        let mut stderr = Vec::new();
        if let Some(mut pipe) = child.stderr.take() {
            let _ = timeout(PATIENCE, pipe.read_to_end(&mut stderr)).await;
        }
        match ended {
            Err(error) if stderr.is_empty() => Err(error),
            _ => Err(io::Error::other(tools::last_words(&stderr))),
        }
    }

    /// Starts one for the machine with these files. Returns QEMU's end of its control socket.
    pub async fn start(&self, files: &Path) -> Result<(Helper, OwnedFd), MachineError> {
        let started = async {
            let dir = files.join(names::TPM);
            DirBuilder::new().mode(0o700).create(&dir)?;
            self.spawn(&dir).await
        };
        let (child, socket) = started.await.map_err(|error: io::Error| {
            MachineError::Launch(format!("cannot start {}: {error}", self.program.display()))
        })?;
        // It says that it was left alone whenever a machine ends, so what it says is kept only for messages.
        let helper = Helper::new("swtpm, the machine's TPM,".to_owned(), child, None);
        Ok((helper, socket.into()))
    }

    async fn spawn(&self, dir: &Path) -> io::Result<(Child, UnixStream)> {
        let (ours, theirs) = UnixStream::pair()?;
        let inherited = [
            (OwnedFd::from(theirs), CONTROL),
            (OwnedFd::from(File::open(dir)?), STATE),
        ]
        .map(|(parent_fd, child_fd)| FdMapping {
            parent_fd,
            child_fd,
        });
        let child = process::spawn(&self.program, &arguments(), inherited.into()).await?;
        Ok((child, ours))
    }
}

fn arguments() -> Vec<OsString> {
    [
        "socket",
        "--tpm2",
        "--ctrl",
        &format!("type=unixio,clientfd={CONTROL}"),
        "--tpmstate",
        &format!("dir=/proc/self/fd/{STATE}"),
        "--terminate",
    ]
    .map(OsString::from)
    .to_vec()
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[tokio::test]
    async fn a_tpm_is_switched_on_in_a_directory_of_any_name() {
        let dir = tempfile::Builder::new().prefix("a, b=").tempdir().unwrap();
        let swtpm = Swtpm::find(dir.path()).await.unwrap();
        assert_ne!(swtpm.fingerprint(), "");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);

        let (helper, socket) = swtpm.start(dir.path()).await.unwrap();
        let mut socket = UnixStream::from(socket);
        socket.write_all(&[0, 0, 0, 2, 0, 0, 0, 0]).unwrap();
        let mut answer = [1; 4];
        socket.read_exact(&mut answer).unwrap();
        assert_eq!(answer, [0; 4]);
        let state = dir.path().join(names::TPM);
        assert!(state.join("tpm2-00.permall").is_file());
        assert_eq!(
            state.metadata().unwrap().permissions().mode() & 0o777,
            0o700
        );
        helper.stop().await;
        assert_eq!(socket.read(&mut answer).unwrap(), 0);
    }

    #[tokio::test]
    async fn one_that_does_not_work_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("swtpm");
        let script = "#!/bin/sh\necho swtpm: Could not open lockfile: Permission denied >&2\n";
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let error = Swtpm { program }.try_out(dir.path()).await.unwrap_err();
        assert_eq!(
            error.to_string(),
            "swtpm: Could not open lockfile: Permission denied"
        );
    }
}
