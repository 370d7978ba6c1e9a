//! The guest's side of external tests: the unit that runs a test, the agent `kolet` that runs the unit, and the reboot
//! protocol between test, agent and harness. Paths, names and texts are those of kola, since tests rely on them.

mod archive;
mod channel;
#[cfg(test)]
mod channel_tests;
#[cfg(test)]
mod clone_tests;
mod copy;
mod install;
mod late;
mod rebase;
mod reboot;
mod run;
mod template;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unit;
mod wake;
mod wake_program;

pub use channel::AgentChannel;
pub use copy::copy_to_home;
pub use install::{Onto, install};
pub use late::{arrived, late};
pub use rebase::{needs_internet, rebase};
pub use reboot::{reboot, restart};
pub use run::{UnitEnd, run_unit, unit_status};
pub use template::{fingerprint, prepare_template};
pub use unit::{TestUnit, end_marker};
pub use wake::{rouse, wake, woken};

/// Where the agent is in the guest.
pub(crate) const KOLET: &str = "/usr/local/bin/kolet";

/// The name of the virtio-serial port on which the agent of a clone answers.
pub const AGENT_PORT: &str = "kolea.agent";

/// One word of a POSIX shell.
pub(crate) fn quote(text: &str) -> String {
    format!("'{}'", text.replace('\'', "'\\''"))
}
