//! What kolea talks about: tests, machine specs, events, verdicts, exit codes.
//!
//! Types and serde only. Everything else in the workspace depends on this crate, and it depends on nothing of theirs,
//! so that the suite, the engine and the reports can be understood (and tested) apart from each other.

mod disk;
mod event;
mod exit;
mod machine;
mod names;
mod phase;
mod server;
mod test;
mod verdict;

pub use disk::{DiskChannel, DiskSpec, DiskSpecError, Sectors};
pub use event::{
    Event, EventKind, Finding, FindingSource, Origin, Plan, PlannedGroup, PlannedTemplate, RunInfo,
};
pub use exit::ExitCode;
pub use machine::{BootFrom, CdBus, Firmware, HostForward, HostMount, MachineNeeds, MachineSpec};
pub use names::{BUCKET_PREFIX, TEMPLATE_PREFIX, VERIFY_PREFIX};
pub use names::{bucket_name, is_auxiliary_group, is_bucket_name};
pub use phase::Phase;
pub use server::{Served, ServerFault, ServerNeeds};
pub use test::{
    DEFAULT_EXCLUSIVE_TIMEOUT, DEFAULT_SHARED_TIMEOUT, ExternalTest, OnFailure, Restriction,
    TestCase, TestSource, UserConfig,
};
pub use verdict::{InfraCause, SkipReason, Verdict};
