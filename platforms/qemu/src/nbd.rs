//! qemu-nbd: the process that serves one disk of a machine on several paths, since QEMU opens a file for writing once only.
//!
//! Nothing is waited for: its socket listens and QEMU's ends are connected before it starts, all are inherited.

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use command_fds::FdMapping;
use kolea_machine::MachineError;

use crate::QemuError;
use crate::hardware::{Hardware, Places};
use crate::helper::Helper;
use crate::{process, socket, tools};

/// How many paths a disk has that has several (kola's).
const PATHS: usize = 2;
/// The listening socket's number in qemu-nbd: where systemd's protocol for handing over sockets begins.
const LISTENER: i32 = 3;
/// What a qemu-nbd costs the host at most, in MiB.
pub const NBD_MIB: u64 = 32;

/// Finds qemu-nbd.
pub fn find() -> Result<PathBuf, QemuError> {
    tools::find("qemu-nbd", "qemu-utils")
}

/// Starts what serves a machine's disks that have several paths, if it has any. Their files must not be touched afterwards.
pub async fn serve(places: Places<'_>, hardware: &mut Hardware) -> Result<(), MachineError> {
    let (inherited, helpers) = (&mut hardware.inherited, &mut hardware.helpers);
    let drives = &mut hardware.devices.drives;
    for drive in drives.iter_mut().filter(|drive| drive.spec.multipath) {
        let program = find().map_err(|error| MachineError::Launch(error.to_string()))?;
        let fault = |error: io::Error| {
            let (program, file) = (program.display(), drive.file.display());
            MachineError::Launch(format!("cannot start {program} for {file}: {error}"))
        };
        let (listener, ours) = socket::served::<PATHS>(places.files).map_err(fault)?;
        let listener = FdMapping {
            parent_fd: listener,
            child_fd: LISTENER,
        };
        let args = arguments(&program, &drive.file);
        let child = process::spawn(Path::new("/bin/sh"), &args, vec![listener])
            .await
            .map_err(fault)?;
        let name = format!("qemu-nbd, which serves disk {},", drive.number);
        let log = format!("qemu-nbd-{}.txt", drive.number);
        helpers.push(Helper::new(name, child, Some(places.artefacts.join(log))));
        drive.paths = ours.map(|path| inherited.add(path)).to_vec();
    }
    Ok(())
}

/// The arguments of a shell that becomes qemu-nbd. It takes an inherited socket from whoever knows its process id, as systemd
/// does, and only the process itself knows that before it runs.
fn arguments(program: &Path, file: &Path) -> Vec<OsString> {
    let mut args = ["-c", "LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"", "sh"]
        .map(OsString::from)
        .to_vec();
    args.push(program.into());
    // As kola has them, but that it stays when the guest has lost all paths.
    let share = PATHS.to_string();
    args.extend(
        [
            "--persistent",
            "--format",
            "qcow2",
            "--cache",
            "unsafe",
            "--discard",
            "unmap",
            "--share",
            &share,
        ]
        .map(OsString::from),
    );
    args.push(file.into());
    args
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_tells_it_who_it_is() {
        let args = arguments(Path::new("/b/qemu-nbd"), Path::new("/w/disk 1"));
        let words: Vec<_> = args.iter().map(|arg| arg.to_str().unwrap()).collect();
        assert_eq!(
            words.join("|"),
            "-c|LISTEN_FDS=1 LISTEN_PID=$$ exec \"$@\"|sh|/b/qemu-nbd|--persistent|--format|qcow2|--cache|unsafe\
             |--discard|unmap|--share|2|/w/disk 1"
        );
    }
}
