//! Templates: machines that booted and were frozen, and what is needed to clone them.
//!
//! A template is a directory: the frozen disk, the guest's memory, the state of the devices, the firmware's variables, the
//! artefacts of the boot, a manifest (`template.json`) that was written last, and a lock that is held, shared, by whoever
//! uses it. Later runs find it in the cache by the name of its key. In the cache everything that changes names is done
//! under the lock of the whole cache, so that two runs never see half of anything; what is unfinished has a name that
//! begins with `.partial-` and belongs to whoever holds its lock, and to nobody if nobody does.

mod clone;
mod evict;
mod freeze;
mod frozen;
mod key;
mod manifest;
mod save;
mod store;

pub use clone::launch_clone;
pub use freeze::freeze;
pub use frozen::Frozen;
pub use key::TemplateKey;
#[cfg(test)]
pub use save::{load, save};
pub use store::Store;

/// Names of files in a template, besides those of its machine.
pub mod names {
    /// The state of devices and of memory that is not RAM.
    pub const STATE: &str = "state";
    /// The Ignition config of the boot: part of the hardware.
    pub const IGNITION: &str = "ignition.json";
    /// What the template is; written last.
    pub const MANIFEST: &str = "template.json";
    /// Held, shared, by whoever uses the template; its modification time says when somebody began to.
    pub const LOCK: &str = "lock";
    /// The journal of the boot, for programs.
    pub const JOURNAL: &str = "journal.json";
    /// The artefacts of the boot, as far as they may be missing.
    pub const ARTEFACTS: [&str; 3] = ["console.txt", "journal.txt", JOURNAL];
}
