//! What starts machines.

use std::any::Any;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kolea_model::{MachineNeeds, MachineSpec, UserConfig};
use serde::{Deserialize, Serialize};

use crate::{Attachment, Machine, MachineError, PrivateNetwork};

/// What is the same for every machine of a platform during a run.
#[derive(Clone, Debug, Default)]
pub struct PlatformFacts {
    /// The platform's name in metadata and reports, such as `qemu`.
    pub name: String,
    /// The machines' architecture, by its RPM name.
    pub arch: String,
    /// What every time limit is multiplied with; 1 under KVM.
    pub timeout_factor: f64,
    /// Facts for the reports: `image`, `image-sha256`, `accelerator`, `accelerator-reason`, `qemu-version`, …
    pub properties: BTreeMap<String, String>,
}

/// A systemd unit to be provisioned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    /// Its file name.
    pub name: String,
    /// Whether it is enabled.
    pub enabled: bool,
    /// The unit file.
    pub contents: String,
}

/// What the first boot is to bring about; the platform adds what it needs itself (SSH key, journal stream).
#[derive(Clone, Debug, Default)]
pub struct Provision {
    /// The tests' own Ignition configs, merged by the guest in this order.
    pub configs: Vec<UserConfig>,
    /// Units of the harness, such as `kola-runext.service`.
    pub units: Vec<Unit>,
}

/// An order for a machine.
#[derive(Clone, Debug)]
pub struct LaunchRequest {
    /// The group it is for, for messages.
    pub owner: String,
    /// Where its artefacts go: the machine makes a directory of its own in it, named by its id.
    pub dir: PathBuf,
    /// What it is made of.
    pub spec: MachineSpec,
    /// What its first boot is to bring about.
    pub provision: Provision,
    /// Whether it may be frozen later ([`Platform::freeze`]).
    pub freezable: bool,
    /// Its place in its group's network (`MachineSpec::private_network`).
    pub network: Option<Attachment>,
}

/// An order for a clone.
#[derive(Clone, Debug)]
pub struct CloneRequest {
    /// The group it is for, for messages.
    pub owner: String,
    /// Where its artefacts go: the machine makes a directory of its own in it, named by its id.
    pub dir: PathBuf,
    /// What it is restored from.
    pub template: Arc<dyn Template>,
}

/// What a template is of: equal orders give equal machines.
#[derive(Clone, Debug)]
pub struct TemplateOrder {
    /// What the machine is made of.
    pub spec: MachineSpec,
    /// What its first boot brings about; nothing of a single test is in it, its config excepted.
    pub provision: Provision,
}

/// What the guest of a template says about itself before it is frozen; its clones need it to wake up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GuestFacts {
    /// The boot that the template and all its clones are in.
    pub boot_id: String,
    /// Calendar timers that are active: unit, and when it elapses next, in microseconds since 1970 (systemd's
    /// `NextElapseUSecRealtime`).
    pub timers: Vec<(String, u64)>,
    /// The file that holds our public key, and the line with it.
    pub authorized_key: Option<(String, String)>,
    /// `ID` of os-release; empty if there is none.
    #[serde(default)]
    pub os_id: String,
    /// `VARIANT_ID` of os-release.
    #[serde(default)]
    pub variant_id: Option<String>,
}

/// A machine that booted, passed the base checks and was frozen.
pub trait Template: Debug + Send + Sync {
    /// A short name of its key, for messages.
    fn key(&self) -> &str;

    /// Where the artefacts of its boot are: `console.txt`, `journal.txt`, `journal.json`, `ignition.json`.
    fn dir(&self) -> &Path;

    /// What its guest said about itself.
    fn guest(&self) -> &GuestFacts;

    /// What it occupies on the disk, in MiB.
    fn disk_mib(&self) -> u64;

    /// Later runs are not to use it, though it was to be kept: something was found in what its machine said last. Clones of this
    /// run go on. Nothing to do where nothing is kept.
    fn withdraw(&self) {}

    /// For the platform that made it.
    fn as_any(&self) -> &dyn Any;
}

/// Starts machines of one kind from one image.
#[async_trait]
pub trait Platform: Debug + Send + Sync {
    /// What is the same for every machine.
    fn facts(&self) -> &PlatformFacts;

    /// The host name of a group's machine, by its number (kola's, for QEMU).
    fn hostname(&self, machine: u32) -> String {
        format!("{}{machine}", self.facts().name)
    }

    /// The spec of a machine for these needs: the first of its group.
    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec;

    /// What a machine costs the host at most, in MiB: the guest's memory and what its processes need besides.
    fn memory_cost(&self, spec: &MachineSpec) -> u64;

    /// Starts a machine, and returns as soon as its process runs. Dropping the future stops what was started.
    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError>;

    /// Why machines of that kind can't be frozen and cloned, in one line; `None` if they can.
    fn not_clonable(&self, spec: &MachineSpec) -> Option<String>;

    /// What a clone costs the host at most, in MiB: it shares what it does not change.
    fn clone_memory_cost(&self, spec: &MachineSpec) -> u64;

    /// How many of the host's CPUs a machine keeps busy while it boots: those of the guest under emulation, 0 where the host's
    /// own CPU executes it.
    fn boot_cpus(&self, spec: &MachineSpec) -> u32;

    /// The template that an earlier run left for such an order, if there is one that can be used. Templates that can't
    /// be used (damaged, or of another QEMU) are removed.
    async fn find_template(&self, order: &TemplateOrder) -> Option<Arc<dyn Template>>;

    /// Prepares and freezes a machine that was launched `freezable` for that order and is ready. The machine is stopped,
    /// whatever comes of it. `keep`: whether later runs may use the template; otherwise it is gone when the platform is
    /// closed.
    async fn freeze(
        &self,
        machine: Arc<dyn Machine>,
        order: &TemplateOrder,
        keep: bool,
    ) -> Result<Arc<dyn Template>, MachineError>;

    /// Starts a clone, and returns as soon as its process runs. Its first [`Machine::wait_ready`] wakes it: clock, random
    /// numbers, keys. Dropping the future stops what was started.
    async fn launch_clone(&self, request: CloneRequest) -> Result<Arc<dyn Machine>, MachineError>;

    /// Makes a network for the machines of one group. It ends when nothing uses it any more.
    async fn private_network(&self) -> Result<Arc<dyn PrivateNetwork>, MachineError> {
        Err(MachineError::Harness(
            "this platform has no private networks".to_owned(),
        ))
    }

    /// Removes whatever the platform keeps for the run. Returns what was left behind by machines, one line each; empty
    /// if all is well.
    async fn close(&self) -> Vec<String>;
}
