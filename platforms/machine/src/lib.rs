//! Machines, and what serves every one of them whatever platform it runs on: the [`Platform`] and [`Machine`] traits,
//! SSH, the guest agent (kolet), the reboot protocol, the journal, provisioning and the facts about distributions.

pub mod agent;
pub mod check;
mod error;
pub mod ignition;
pub mod journal;
mod machine;
mod native;
mod network;
mod platform;
pub mod profile;
pub mod provisioning;
pub mod ssh;

pub use error::{Down, DownKind, MachineError};
pub use machine::{
    BootId, Exec, ExecOutput, JournalEntry, Line, Machine, PRIMARY_DISK, RunBy, SshLogin, Step,
};
pub use native::{NativeFuture, NativeTest, TestContext, TestFailure, TestResult};
pub use network::{Attachment, Cable, PrivateNetwork};
pub use platform::{
    CloneRequest, GuestFacts, LaunchRequest, Platform, PlatformFacts, Provision, Template,
    TemplateOrder, Unit,
};
pub use provisioning::Provisioning;
