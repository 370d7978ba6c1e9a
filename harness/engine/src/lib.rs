//! The engine: plans which tests share machines and in which order they start, runs them, watches every machine, and
//! says what happened in events. It knows platforms by their traits only, and nothing about reports.

mod admission;
mod cluster;
mod control;
mod distro;
mod events;
mod external;
mod group;
mod guard;
mod host;
mod launch;
mod ledger;
mod log;
mod native;
mod notes;
mod options;
mod outcome;
mod plan;
mod policy;
mod rebase;
mod ride;
pub mod rules;
mod run;
mod schedule;
mod seat;
mod session;
mod shell;
mod stages;
mod template;
mod tour;
mod trace;
mod unstarted;
mod verify;
mod watch;

pub use control::Control;
pub use events::EventSender;
pub use host::{HostMemory, MemoryTexts, host_cpus, host_memory, parse_cpu_quota, parse_memory};
pub use options::{Buckets, Case, Expected, FailureShell, RunOptions};
pub use plan::plan;
pub use rules::{check_console, fatal_rule};
pub use run::run;
