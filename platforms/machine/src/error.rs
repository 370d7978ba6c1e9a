//! What can go wrong with a machine.

use kolea_model::InfraCause;
use thiserror::Error;

/// Why an operation on a machine failed.
#[derive(Clone, Debug, Error)]
pub enum MachineError {
    /// The machine's process could not be started.
    #[error("cannot start a machine: {0}")]
    Launch(String),
    /// The host's disk is full.
    #[error("the host's disk is full: {0}")]
    DiskFull(String),
    /// The machine can't go on.
    #[error("{}", .0.message)]
    Down(Down),
    /// No SSH connection, or it broke.
    #[error("SSH to the machine: {0}")]
    Ssh(String),
    /// The guest did something that it should not have.
    #[error("{0}")]
    Guest(String),
    /// kolea or its host failed.
    #[error("{0}")]
    Harness(String),
}

/// That a machine can't go on, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Down {
    /// The kind.
    pub kind: DownKind,
    /// One line: what was seen.
    pub message: String,
}

/// Why a machine can't go on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DownKind {
    /// The guest powered itself off.
    PoweredOff,
    /// Its process ended or was killed.
    Died,
    /// Its process was killed by the kernel for lack of memory.
    OutOfMemory,
    /// It was paused, since the host's disk is full.
    DiskFull,
    /// kolea itself stopped it.
    Stopped,
}

impl DownKind {
    /// The infrastructure's part in it; `None` where the guest is to blame.
    pub fn cause(self) -> Option<InfraCause> {
        match self {
            DownKind::PoweredOff => None,
            DownKind::Died => Some(InfraCause::MachineDied),
            DownKind::OutOfMemory => Some(InfraCause::OutOfMemory),
            DownKind::DiskFull => Some(InfraCause::DiskFull),
            DownKind::Stopped => Some(InfraCause::Harness),
        }
    }
}
