//! The guest's side of external tests: the unit that runs a test, the agent `kolet` that runs the unit, and the reboot
//! protocol between test, agent and harness. Paths, names and texts are those of kola, since tests rely on them.

mod install;
mod reboot;
mod run;
#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;
mod unit;

pub use install::install;
pub use reboot::reboot;
pub use run::{UnitEnd, run_unit, unit_status};
pub use unit::{TestUnit, end_marker};

/// Where the agent is in the guest.
const KOLET: &str = "/usr/local/bin/kolet";
