//! Sockets between a machine's processes: made, and connected, before either of them starts.

use std::fs::{self, File};
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;

/// The socket's name while it has one.
const NAME: &str = "socket";

/// A socket that listens, and `N` that are connected to it. Nobody else can connect: its name is in that directory, which has
/// to be private, and gone when this returns.
pub fn served<const N: usize>(dir: &Path) -> io::Result<(OwnedFd, [OwnedFd; N])> {
    // By way of the descriptor, since a socket's path must not have more than 107 bytes.
    let handle = File::open(dir)?;
    let path = format!("/proc/self/fd/{}/{NAME}", handle.as_raw_fd());
    let listener = UnixListener::bind(&path)?;
    let connected: io::Result<Vec<_>> = (0..N).map(|_| UnixStream::connect(&path)).collect();
    fs::remove_file(dir.join(NAME))?;
    let connected: Vec<OwnedFd> = connected?.into_iter().map(OwnedFd::from).collect();
    let connected = connected
        .try_into()
        .map_err(|_| io::Error::other("a socket is missing"))?;
    Ok((listener.into(), connected))
}
