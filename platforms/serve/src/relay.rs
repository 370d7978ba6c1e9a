//! The way from a guest to the server: a process that QEMU starts for each connection (`guestfwd=…-cmd:`), whose standard input is
//! the guest's end of it.

use std::ffi::{OsStr, OsString};
use std::io;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::fd::AsFd;
use std::os::unix::net::UnixStream;
use std::process::ExitCode;
use std::thread;

/// The first argument of the program that relays.
pub const COMMAND: &str = "__relay";

/// If the program was called to relay, does so until either end closes the connection. A program that offers itself as the relay
/// calls this before anything else, on its arguments without its own name.
pub fn run_if_asked(arguments: impl IntoIterator<Item = OsString>) -> Option<ExitCode> {
    let mut arguments = arguments.into_iter();
    if arguments.next().as_deref() != Some(OsStr::new(COMMAND)) {
        return None;
    }
    let address = arguments.next();
    Some(match called(address.as_deref()) {
        Ok(()) => ExitCode::SUCCESS,
        // Nobody reads it: standard error is the guest's, too. The guest sees the connection close.
        Err(_) => ExitCode::FAILURE,
    })
}

fn called(address: Option<&OsStr>) -> io::Result<()> {
    let address = address
        .and_then(OsStr::to_str)
        .and_then(|text| text.parse().ok())
        .ok_or(io::ErrorKind::InvalidInput)?;
    let guest = UnixStream::from(io::stdin().as_fd().try_clone_to_owned()?);
    relay(guest, address)
}

/// Copies both ways until the server has closed the connection, which it does when the guest has.
fn relay(mut guest: UnixStream, server: SocketAddr) -> io::Result<()> {
    let mut server = TcpStream::connect(server)?;
    let (mut from_guest, mut to_server) = (guest.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from_guest, &mut to_server);
        let _ = to_server.shutdown(Shutdown::Write);
    });
    let copied = io::copy(&mut server, &mut guest);
    let _ = guest.shutdown(Shutdown::Both);
    copied.map(drop)
}

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};
    use std::net::TcpListener;

    use super::*;

    #[test]
    fn what_either_says_the_other_hears_until_one_closes() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (mut guest, theirs) = UnixStream::pair().unwrap();
        let relaying = thread::spawn(move || relay(theirs, address));
        let (mut server, _) = listener.accept().unwrap();

        guest.write_all(b"question").unwrap();
        let mut heard = [0; 8];
        server.read_exact(&mut heard).unwrap();
        assert_eq!(&heard, b"question");
        server.write_all(b"answer").unwrap();
        drop(server);
        let mut heard = String::new();
        guest.read_to_string(&mut heard).unwrap();
        assert_eq!(heard, "answer");
        relaying.join().unwrap().unwrap();
    }

    #[test]
    fn the_server_hears_that_the_guest_is_gone() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (guest, theirs) = UnixStream::pair().unwrap();
        let relaying = thread::spawn(move || relay(theirs, address));
        let (mut server, _) = listener.accept().unwrap();
        drop(guest);
        assert_eq!(server.read(&mut [0; 8]).unwrap(), 0);
        drop(server);
        relaying.join().unwrap().unwrap();
    }

    #[test]
    fn other_programs_go_on() {
        assert!(run_if_asked([]).is_none());
        assert!(run_if_asked(["run".into(), COMMAND.into()]).is_none());
        assert!(run_if_asked([COMMAND.into(), "nonsense".into()]).is_some());
    }
}
