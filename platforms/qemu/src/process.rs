//! Starting QEMU so that it can't outlive us.

#![expect(unsafe_code, reason = "the only way to run code between fork and exec")]

use std::ffi::OsString;
use std::io;
use std::path::Path;
use std::process::Stdio;

use command_fds::{CommandFdExt, FdMapping};
use nix::errno::Errno;
use nix::sys::prctl::set_pdeathsig;
use nix::sys::signal::Signal;
use nix::unistd::{getpid, getppid};
use tokio::process::{Child, Command};

/// Starts a program in a process group of its own (Ctrl-C is for us alone), killed by the kernel if we die and by
/// Tokio if the child is dropped. Standard output and error are pipes; `fds` is what else it inherits.
///
/// The kernel's death signal follows the *thread* that forked, so the fork is left to a task of the runtime: its workers
/// live as long as the runtime does, unlike the threads of the blocking pool.
pub async fn spawn(program: &Path, args: &[OsString], fds: Vec<FdMapping>) -> io::Result<Child> {
    let mut command = Command::new(program);
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0);
    start(command, args, fds).await
}

/// Starts a program on our own standard input and output, in our own process group: only that of the foreground may read
/// from a terminal.
pub async fn spawn_on_terminal(
    program: &Path,
    args: &[OsString],
    fds: Vec<FdMapping>,
) -> io::Result<Child> {
    start(Command::new(program), args, fds).await
}

async fn start(mut command: Command, args: &[OsString], fds: Vec<FdMapping>) -> io::Result<Child> {
    command.args(args).stderr(Stdio::piped()).kill_on_drop(true);
    command.fd_mappings(fds).map_err(io::Error::other)?;
    let parent = getpid();
    // SAFETY: between fork and exec only async-signal-safe functions may be called; these are two plain system calls,
    // and nothing allocates.
    unsafe {
        command.pre_exec(move || {
            set_pdeathsig(Signal::SIGKILL)?;
            // If we died before that, nobody sends the signal any more.
            if getppid() == parent {
                Ok(())
            } else {
                Err(io::Error::from(Errno::ESRCH))
            }
        });
    }
    // The command owns our copies of the descriptors; they have to be closed for us to see the end of the pipes.
    tokio::spawn(async move { command.spawn() })
        .await
        .map_err(io::Error::other)?
}
