//! Where a test or a machine is; time-outs and the progress display name it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A stage in the life of one attempt at a test.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Phase {
    /// Waiting for a slot or for memory.
    #[default]
    Queued,
    /// The machine's disks, configuration and process are being made.
    Preparing,
    /// From the start of the machine's process to the first command that ran over SSH.
    Booting,
    /// The checks that every machine has to pass before a test may use it.
    Checking,
    /// The machine is being brought to another version of its system (`--oscontainer`).
    Rebasing,
    /// The test's files are being copied to the machine.
    Installing,
    /// The test itself runs.
    Running,
    /// From the acknowledged reboot request to the first command of the next boot.
    Rebooting,
    /// The same for a restart of user space only (systemd-soft-reboot.service).
    SoftRebooting,
    /// The machine is being made a template: prepared, stopped and saved.
    Freezing,
    /// Logs are being gathered, and the end checks made.
    Collecting,
    /// The machine is being stopped.
    Stopping,
}

impl Phase {
    /// The word used in messages and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Phase::Queued => "queued",
            Phase::Preparing => "preparing",
            Phase::Booting => "booting",
            Phase::Checking => "checking",
            Phase::Rebasing => "rebasing",
            Phase::Installing => "installing",
            Phase::Running => "running",
            Phase::Rebooting => "rebooting",
            Phase::SoftRebooting => "soft-rebooting",
            Phase::Freezing => "freezing",
            Phase::Collecting => "collecting",
            Phase::Stopping => "stopping",
        }
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
