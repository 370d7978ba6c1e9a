//! A running machine.

use std::borrow::Cow;
use std::fmt::{self, Debug};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use kolea_serve::Site;
use tokio::sync::{mpsc, watch};

use crate::agent::{KOLET, quote};
use crate::{Down, MachineError};

/// `/proc/sys/kernel/random/boot_id`: changes with every boot.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub String);

/// Whose shell runs a command. In root's, `$KOLET` is the agent.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunBy {
    /// The login shell of the profile's user, over SSH.
    #[default]
    User,
    /// Root's POSIX shell, without a login: over the agent's own channel if the machine has one, else over SSH, with sudo if the user is not root.
    Root,
    /// Whichever is cheaper, for commands that need no privileges: root's over the channel, or the user's over SSH.
    Anyone,
}

/// A command for the guest's shell.
#[derive(Clone, Debug, Default)]
pub struct Exec {
    /// What it is for, in one word: `check`, `install`, `run-test-unit`… (messages, traces and the fake platform go by it).
    pub label: &'static str,
    /// The command line.
    pub command: String,
    /// Whose shell runs it.
    pub by: RunBy,
    /// What it reads from standard input.
    pub stdin: Vec<u8>,
}

impl Exec {
    /// The command line for SSH as that user: the command itself, or root's shell around it, where `$KOLET` is set, with sudo for
    /// everybody else.
    pub fn over_ssh(&self, user: &str) -> Cow<'_, str> {
        if self.by != RunBy::Root {
            return Cow::Borrowed(&self.command);
        }
        // `KOLET_ROOT` is for our unit tests; sudo lets none through.
        let script = format!("KOLET=\"${{KOLET_ROOT-}}{KOLET}\"\n{}", self.command);
        let sudo = if user == "root" { "" } else { "sudo " };
        Cow::Owned(format!("{sudo}sh -c {}", quote(&script)))
    }
}

/// Something that the platform was busy with on a machine's behalf.
#[derive(Clone, Debug, PartialEq)]
pub struct Step {
    /// In one or two words, such as `overlay` or `load`.
    pub name: String,
    /// When it began.
    pub began: DateTime<Utc>,
    /// How long it took, in seconds.
    pub seconds: f64,
}

/// What came of a command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecOutput {
    /// The exit status; 128 plus the signal's number if a signal ended it.
    pub status: i32,
    /// Standard output; what exceeds [`ExecOutput::LIMIT`] is dropped.
    pub stdout: Vec<u8>,
    /// Standard error, with the same limit.
    pub stderr: Vec<u8>,
}

impl ExecOutput {
    /// How much of each stream is kept, in bytes.
    pub const LIMIT: usize = 4 << 20;

    /// Standard output as text.
    pub fn stdout_text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// Standard error as text.
    pub fn stderr_text(&self) -> String {
        String::from_utf8_lossy(&self.stderr).into_owned()
    }
}

/// One entry of the guest's journal.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalEntry {
    /// When it was written, by the guest's clock.
    pub time: DateTime<Utc>,
    /// `_BOOT_ID`, without dashes.
    pub boot_id: String,
    /// `_SYSTEMD_UNIT`.
    pub unit: Option<String>,
    /// `SYSLOG_IDENTIFIER`.
    pub identifier: Option<String>,
    /// `_PID`.
    pub pid: Option<u32>,
    /// `MESSAGE`; invalid UTF-8 replaced.
    pub message: String,
}

/// What a machine says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Line {
    /// A line of the serial console, without its line ending.
    Console(String),
    /// An entry of the journal.
    Journal(Arc<JournalEntry>),
}

/// What the system's `ssh` needs to get into a machine.
#[derive(Clone, PartialEq, Eq)]
pub struct SshLogin {
    /// Host name or address: of the host's end of a forwarded port, if the guest itself cannot be reached.
    pub host: String,
    /// Port.
    pub port: u16,
    /// User.
    pub user: String,
    /// The private key, in OpenSSH's format. It lets into all machines of the run, and is in memory alone: whoever writes it to
    /// a file for `ssh -i` makes that with mode 0600 and removes it when the person is done.
    pub private_key: String,
}

impl fmt::Debug for SshLogin {
    /// Without the key, which is for no log.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = format_args!("{}@{}:{}", self.user, self.host, self.port);
        f.debug_tuple("SshLogin").field(&place).finish()
    }
}

/// The serial number of the disk that the guest boots from, and its name for [`Machine::remove_disk`].
pub const PRIMARY_DISK: &str = "primary-disk";

/// A running machine. All futures may be dropped at any time; time limits are the caller's.
#[async_trait]
pub trait Machine: Debug + Send + Sync {
    /// Its UUID.
    fn id(&self) -> &str;

    /// The directory of its artefacts: `console.txt`, `journal.txt`, and what others put there.
    fn dir(&self) -> &Path;

    /// Waits until a command ran over a new SSH connection, in a boot other than `previous`, and returns that boot's id.
    /// Goes on trying until it succeeds or the machine is down.
    async fn wait_ready(&self, previous: Option<&BootId>) -> Result<BootId, MachineError>;

    /// Runs a command and waits for its end. Dropping the future kills the command.
    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError>;

    /// Waits until the machine can't go on. Never resolves while it is well.
    async fn down(&self) -> Down;

    /// Console lines and journal entries from the very first on. Can be taken once; a reader that stalls stalls the guest's output.
    fn take_lines(&self) -> Option<mpsc::Receiver<Line>>;

    /// What was done to start it since the last call, for traces.
    fn take_steps(&self) -> Vec<Step> {
        Vec::new()
    }

    /// Counts the machine's resets (a reboot of the guest is one).
    fn resets(&self) -> watch::Receiver<u32>;

    /// Takes a disk away from the running machine, as if somebody had pulled it out, and waits until it is gone. `id` is
    /// `disk-1`, `disk-2`… for an additional disk, in the order in which they were asked for; `mpath10` or `mpath11` for one of the
    /// two paths to the first of them; or [`PRIMARY_DISK`] for what the guest booted from, whatever number it has: then it boots
    /// from another disk next time. The guest may have to agree, and may take its time.
    async fn remove_disk(&self, id: &str) -> Result<(), MachineError>;

    /// Waits until the guest has said that since it was started, as a part of what is on its serial console or on virtio port
    /// `testisocompletion` (which machines have that boot from an ISO).
    async fn wait_said(&self, _text: &str) -> Result<(), MachineError> {
        Err(MachineError::Harness(
            "machines of this platform keep no account of what they said".to_owned(),
        ))
    }

    /// How a person gets in over SSH; none where there is no SSH. To be asked for once the machine was ready: before that a
    /// clone does not have our key. A machine stays as it is for as long as somebody is in it, since nothing of it has a
    /// time limit; but its lines have to be read meanwhile.
    fn ssh_login(&self) -> Option<SshLogin> {
        None
    }

    /// Where on this host a port of the guest can be reached, if it is forwarded (`MachineSpec::host_forwards`, and 22).
    fn host_address(&self, _guest_port: u16) -> Option<SocketAddr> {
        None
    }

    /// What its own server has, if it has one (`MachineSpec::server`): it may be changed, and asked what the machine has fetched.
    fn site(&self) -> Option<Arc<Site>> {
        None
    }

    /// Stops the machine and everything that belongs to it, waits for its end and removes what nobody needs.
    /// Returns how the process ended in one line. The lines' channel closes after the last line. Calling it again is harmless.
    async fn stop(&self) -> String;
}
