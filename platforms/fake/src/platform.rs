//! The platform: scripts, and counts of what was started.

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kolea_machine::{
    CloneRequest, LaunchRequest, Machine, MachineError, Platform, PlatformFacts, Template,
    TemplateOrder,
};
use kolea_model::{Firmware, MachineNeeds, MachineSpec};

use crate::machine::FakeMachine;
use crate::{Boot, Step};

/// Memory of a machine whose test does not ask for any, in MiB.
const DEFAULT_MEMORY: u64 = 1024;

/// What the platform has seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Stats {
    /// Machines ordered, those that failed to start included.
    pub ordered: usize,
    /// Machines that run now.
    pub alive: usize,
    /// Most machines that ever ran at once.
    pub peak_alive: usize,
    /// Memory of the machines that run now, in MiB.
    pub memory_mib: u64,
    /// Most memory that ever was in use, in MiB.
    pub peak_memory_mib: u64,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    tests: HashMap<String, Vec<Vec<Step>>>,
    boots: HashMap<String, Vec<Boot>>,
    runs: HashMap<String, usize>,
    launches: HashMap<String, usize>,
    stats: Stats,
    left_behind: Vec<String>,
}

/// What `list` says for the `count`th time (from 0); the last entry goes on for ever.
fn nth<T: Clone + Default>(list: Option<&Vec<T>>, count: usize) -> T {
    list.and_then(|list| list.get(count).or(list.last()))
        .cloned()
        .unwrap_or_default()
}

impl Shared {
    /// The script for the next run of a test.
    pub fn script(&mut self, test: &str) -> Vec<Step> {
        let count = self.runs.entry(test.to_owned()).or_default();
        *count += 1;
        nth(self.tests.get(test), *count - 1)
    }

    fn boot(&mut self, owner: &str) -> Boot {
        let count = self.launches.entry(owner.to_owned()).or_default();
        *count += 1;
        nth(self.boots.get(owner), *count - 1)
    }

    fn begin(&mut self, memory_mib: u64) -> usize {
        let stats = &mut self.stats;
        stats.alive += 1;
        stats.peak_alive = stats.peak_alive.max(stats.alive);
        stats.memory_mib += memory_mib;
        stats.peak_memory_mib = stats.peak_memory_mib.max(stats.memory_mib);
        stats.ordered
    }

    /// A machine is gone.
    pub fn end(&mut self, memory_mib: u64) {
        self.stats.alive -= 1;
        self.stats.memory_mib -= memory_mib;
    }
}

/// A platform whose machines follow scripts. Tests without one pass; machines without one boot at once.
#[derive(Clone, Debug)]
pub struct FakePlatform {
    facts: PlatformFacts,
    shared: Arc<Mutex<Shared>>,
}

impl Default for FakePlatform {
    fn default() -> Self {
        FakePlatform::new()
    }
}

impl FakePlatform {
    /// A platform on which everything passes.
    pub fn new() -> Self {
        FakePlatform {
            facts: PlatformFacts {
                name: "fake".to_owned(),
                arch: "x86_64".to_owned(),
                timeout_factor: 1.0,
                properties: BTreeMap::new(),
            },
            shared: Arc::default(),
        }
    }

    /// Scales the time limits.
    #[must_use]
    pub fn timeout_factor(mut self, factor: f64) -> Self {
        self.facts.timeout_factor = factor;
        self
    }

    /// What a test does, one script for each of its attempts; the last one is for all that follow.
    #[must_use]
    pub fn test(self, name: &str, attempts: Vec<Vec<Step>>) -> Self {
        self.shared().tests.insert(name.to_owned(), attempts);
        self
    }

    /// How the machines of a group boot, one after the other; the last one is for all that follow.
    #[must_use]
    pub fn boot(self, owner: &str, boots: Vec<Boot>) -> Self {
        self.shared().boots.insert(owner.to_owned(), boots);
        self
    }

    /// What the platform reports as left behind when it is closed.
    #[must_use]
    pub fn leaving(self, line: &str) -> Self {
        self.shared().left_behind.push(line.to_owned());
        self
    }

    /// What the platform has seen so far.
    pub fn stats(&self) -> Stats {
        self.shared().stats
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[async_trait]
impl Platform for FakePlatform {
    fn facts(&self) -> &PlatformFacts {
        &self.facts
    }

    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec {
        MachineSpec {
            memory_mib: needs.memory_mib.unwrap_or(DEFAULT_MEMORY),
            cpus: 1,
            disk_gib: needs.disk_gib,
            firmware: Firmware::Bios,
            internet: needs.internet,
            hostname: "fake".to_owned(),
        }
    }

    fn memory_cost(&self, spec: &MachineSpec) -> u64 {
        spec.memory_mib
    }

    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError> {
        let (boot, number) = {
            let mut shared = self.shared();
            shared.stats.ordered += 1;
            let boot = shared.boot(&request.owner);
            if let Boot::LaunchFails(reason) = boot {
                return Err(MachineError::Launch(reason));
            }
            (boot, shared.begin(request.spec.memory_mib))
        };
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let dir: PathBuf = request.dir.join(&id);
        Ok(FakeMachine::start(
            id,
            dir,
            &request,
            boot,
            Arc::clone(&self.shared),
        ))
    }

    fn not_clonable(&self, _spec: &MachineSpec) -> Option<String> {
        Some("this platform has no templates".to_owned())
    }

    fn clone_memory_cost(&self, spec: &MachineSpec) -> u64 {
        self.memory_cost(spec)
    }

    fn boot_cpus(&self, _spec: &MachineSpec) -> u32 {
        0
    }

    async fn find_template(&self, _order: &TemplateOrder) -> Option<Arc<dyn Template>> {
        None
    }

    async fn freeze(
        &self,
        machine: Arc<dyn Machine>,
        _order: &TemplateOrder,
        _keep: bool,
    ) -> Result<Arc<dyn Template>, MachineError> {
        machine.stop().await;
        Err(MachineError::Harness(
            "this platform has no templates".to_owned(),
        ))
    }

    async fn launch_clone(&self, _request: CloneRequest) -> Result<Arc<dyn Machine>, MachineError> {
        Err(MachineError::Harness(
            "this platform has no templates".to_owned(),
        ))
    }

    async fn close(&self) -> Vec<String> {
        self.shared().left_behind.clone()
    }
}
