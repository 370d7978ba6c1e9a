//! What starts machines.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kolea_model::{MachineNeeds, MachineSpec, UserConfig};

use crate::{Machine, MachineError};

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
}

/// Starts machines of one kind from one image.
#[async_trait]
pub trait Platform: Debug + Send + Sync {
    /// What is the same for every machine.
    fn facts(&self) -> &PlatformFacts;

    /// The spec of a machine for these needs.
    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec;

    /// What a machine costs the host at most, in MiB: the guest's memory and what its processes need besides.
    fn memory_cost(&self, spec: &MachineSpec) -> u64;

    /// Starts a machine, and returns as soon as its process runs. Dropping the future stops what was started.
    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError>;

    /// Removes whatever the platform keeps for the run. Returns what was left behind by machines, one line each; empty
    /// if all is well.
    async fn close(&self) -> Vec<String>;
}
