//! What connects us with a QEMU process: made before it starts, inherited by it.

use std::io;
use std::os::fd::OwnedFd;

use command_fds::FdMapping;
use kolea_machine::MachineError;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;

use crate::command_line::fds;

/// Our ends.
#[derive(Debug)]
pub struct Channels {
    /// The monitor.
    pub monitor: UnixStream,
    /// The agent's port.
    pub agent: UnixStream,
    /// The serial console.
    pub console: Receiver,
    /// The journal's port.
    pub journal: Receiver,
    /// The port for Ignition's last words.
    pub ignition: Receiver,
}

/// Makes the channels: our ends, and QEMU's by their numbers.
pub fn channels() -> Result<(Channels, Vec<FdMapping>), MachineError> {
    let make = || -> io::Result<(Channels, Vec<FdMapping>)> {
        let mut theirs = Vec::new();
        let mut pipe = |child_fd| -> io::Result<Receiver> {
            let (reader, writer) = io::pipe()?;
            theirs.push(FdMapping {
                parent_fd: OwnedFd::from(writer),
                child_fd,
            });
            Receiver::from_owned_fd(OwnedFd::from(reader))
        };
        let (console, journal, ignition) = (
            pipe(fds::CONSOLE)?,
            pipe(fds::JOURNAL)?,
            pipe(fds::IGNITION)?,
        );
        let mut socket = |child_fd| -> io::Result<UnixStream> {
            let (ours, other) = std::os::unix::net::UnixStream::pair()?;
            ours.set_nonblocking(true)?;
            theirs.push(FdMapping {
                parent_fd: OwnedFd::from(other),
                child_fd,
            });
            UnixStream::from_std(ours)
        };
        let (monitor, agent) = (socket(fds::MONITOR)?, socket(fds::AGENT)?);
        let ours = Channels {
            monitor,
            agent,
            console,
            journal,
            ignition,
        };
        Ok((ours, theirs))
    };
    make().map_err(|error| MachineError::Harness(format!("cannot make pipes for QEMU: {error}")))
}
