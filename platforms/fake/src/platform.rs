//! The platform: scripts, and counts of what was started.

use std::collections::{BTreeMap, HashMap};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kolea_machine::{
    CloneRequest, GuestFacts, LaunchRequest, Machine, MachineError, Platform, PlatformFacts,
    PrivateNetwork, Provision, Template, TemplateOrder, Unit,
};
use kolea_model::{MachineNeeds, MachineSpec};

use crate::machine::{Beginning, FakeMachine};
use crate::network::FakeNetwork;
use crate::template::{FakeTemplate, equal};
use crate::{Boot, Freeze, Rebase, Step};

/// Memory of a machine whose test does not ask for any, in MiB.
const DEFAULT_MEMORY: u64 = 1024;
/// What part of its memory a clone costs.
const CLONE_SHARE: u64 = 4;

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
    /// Clones ordered, those that failed to start included.
    pub clones: usize,
    /// Templates made.
    pub templates: usize,
    /// Templates that are there for later runs.
    pub kept: usize,
    /// Most machines that were coming up at once.
    pub peak_booting: usize,
    /// Bytes of large files that were copied to machines.
    pub copied: usize,
}

#[derive(Debug, Default)]
pub(crate) struct Shared {
    tests: HashMap<String, Vec<Vec<Step>>>,
    boots: HashMap<String, Vec<Boot>>,
    wakes: HashMap<String, Vec<Boot>>,
    freezes: HashMap<String, Vec<Freeze>>,
    /// The owners of machines that may be frozen, and how often each has been.
    freezable: HashMap<String, (String, Arc<FakeMachine>)>,
    frozen: HashMap<String, usize>,
    kept: Vec<Arc<FakeTemplate>>,
    booting: usize,
    runs: HashMap<String, usize>,
    launches: HashMap<String, usize>,
    woken: HashMap<String, usize>,
    pub stats: Stats,
    /// `ID` and `VARIANT_ID` of os-release.
    pub os: (String, Option<String>),
    pub rebase: Rebase,
    /// The commands that rebased a machine.
    pub rebases: Vec<String>,
    /// What each machine that boots was provisioned with, by its owner.
    provisions: Vec<(String, Provision)>,
    left_behind: Vec<String>,
    networks: Vec<Arc<FakeNetwork>>,
    no_networks: Option<String>,
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

    fn wake(&mut self, owner: &str) -> Boot {
        let count = self.woken.entry(owner.to_owned()).or_default();
        *count += 1;
        nth(self.wakes.get(owner), *count - 1)
    }

    fn freeze(&mut self, machine: &str) -> (Freeze, Option<Arc<FakeMachine>>) {
        let Some((owner, machine)) = self.freezable.remove(machine) else {
            return (Freeze::Fails("it was not to be frozen".to_owned()), None);
        };
        let count = self.frozen.entry(owner.clone()).or_default();
        *count += 1;
        (nth(self.freezes.get(&owner), *count - 1), Some(machine))
    }

    /// A machine begins to come up.
    pub fn begin_boot(&mut self) {
        self.booting += 1;
        self.stats.peak_booting = self.stats.peak_booting.max(self.booting);
    }

    /// A machine has come up, or will not.
    pub fn end_boot(&mut self) {
        self.booting -= 1;
    }

    /// A template is not for later runs any more.
    pub fn withdraw(&mut self, key: &str) {
        self.kept.retain(|kept| kept.key != key);
        self.stats.kept = self.kept.len();
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
    boot_cpus: u32,
    not_clonable: Option<(u64, String)>,
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
            boot_cpus: 0,
            not_clonable: None,
            shared: Arc::default(),
        }
        .os("fixture", Some("coreos"))
    }

    /// What os-release of all machines says: `ID` and `VARIANT_ID`.
    #[must_use]
    pub fn os(self, id: &str, variant_id: Option<&str>) -> Self {
        self.shared().os = (id.to_owned(), variant_id.map(str::to_owned));
        self
    }

    /// How rebasing a machine goes.
    #[must_use]
    pub fn rebase(self, rebase: Rebase) -> Self {
        self.shared().rebase = rebase;
        self
    }

    /// The commands that rebased a machine so far.
    pub fn rebases(&self) -> Vec<String> {
        self.shared().rebases.clone()
    }

    /// What the machines of a group that booted were provisioned with, one after the other.
    pub fn provisions(&self, owner: &str) -> Vec<Provision> {
        let shared = self.shared();
        let own = shared.provisions.iter().filter(|(of, _)| of == owner);
        own.map(|(_, provision)| provision.clone()).collect()
    }

    /// How many of the host's CPUs a machine keeps busy while it boots.
    #[must_use]
    pub fn boot_cpus(mut self, cpus: u32) -> Self {
        self.boot_cpus = cpus;
        self
    }

    /// Machines with that much memory, in MiB, can't be cloned, for this reason.
    #[must_use]
    pub fn not_clonable(mut self, memory_mib: u64, reason: &str) -> Self {
        self.not_clonable = Some((memory_mib, reason.to_owned()));
        self
    }

    /// Scales the time limits.
    #[must_use]
    pub fn timeout_factor(mut self, factor: f64) -> Self {
        self.facts.timeout_factor = factor;
        self
    }

    /// What a test does, one script for each of its attempts; the last one is for all that follow. A command of a compiled-in
    /// test has a script by its text.
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

    /// How the clones of a group wake, one after the other; the last one is for all that follow.
    #[must_use]
    pub fn wake(self, owner: &str, wakes: Vec<Boot>) -> Self {
        self.shared().wakes.insert(owner.to_owned(), wakes);
        self
    }

    /// How freezing the machines of a group goes, one after the other; the last one is for all that follow.
    #[must_use]
    pub fn freeze(self, owner: &str, freezes: Vec<Freeze>) -> Self {
        self.shared().freezes.insert(owner.to_owned(), freezes);
        self
    }

    /// Whatever was kept for later runs turns out to be damaged, and is gone.
    pub fn damage_kept(&self) {
        let mut shared = self.shared();
        shared.kept.clear();
        shared.stats.kept = 0;
    }

    /// There are no private networks, for this reason.
    #[must_use]
    pub fn no_networks(self, reason: &str) -> Self {
        self.shared().no_networks = Some(reason.to_owned());
        self
    }

    /// The private networks so far.
    pub fn networks(&self) -> Vec<Arc<FakeNetwork>> {
        self.shared().networks.clone()
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

    fn start(
        &self,
        number: usize,
        dir: &Path,
        units: Vec<Unit>,
        boot: Boot,
        memory_mib: u64,
        clone: bool,
    ) -> Arc<FakeMachine> {
        let id = format!("00000000-0000-4000-8000-{number:012}");
        let beginning = Beginning {
            dir: dir.join(&id),
            id,
            units,
            boot,
            memory_mib,
            clone,
        };
        FakeMachine::start(beginning, Arc::clone(&self.shared))
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
            firmware: needs.firmware.unwrap_or_default(),
            internet: needs.internet,
            numa: needs.numa,
            mounts: needs.mounts.clone(),
            primary_disk: needs.primary_disk.clone().unwrap_or_default(),
            disks: needs.additional_disks.clone(),
            nics: needs.additional_nics,
            private_network: needs.private_network,
            host_forwards: needs.host_forwards.clone(),
            server: needs.server.clone(),
            boot_from: needs.boot_from,
            console_only: needs.console_only,
            network_keyfiles: needs.network_keyfiles.clone(),
            kernel_args: needs.kernel_args.clone(),
            firstboot_kernel_args: needs.firstboot_kernel_args.clone(),
            hostname: self.hostname(0),
            ..MachineSpec::default()
        }
    }

    fn memory_cost(&self, spec: &MachineSpec) -> u64 {
        spec.memory_mib
    }

    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError> {
        if let Some(attachment) = &request.network {
            FakeNetwork::attach(attachment, &request.spec.hostname)?;
        }
        let (boot, number) = {
            let mut shared = self.shared();
            shared.stats.ordered += 1;
            let provision = request.provision.clone();
            shared.provisions.push((request.owner.clone(), provision));
            let boot = shared.boot(&request.owner);
            if let Boot::LaunchFails(reason) = boot {
                return Err(MachineError::Launch(reason));
            }
            (boot, shared.begin(request.spec.memory_mib))
        };
        let (owner, freezable) = (request.owner, request.freezable);
        let machine = self.start(
            number,
            &request.dir,
            request.provision.units,
            boot,
            request.spec.memory_mib,
            false,
        );
        if freezable {
            let entry = (owner, Arc::clone(&machine));
            self.shared()
                .freezable
                .insert(machine.id().to_owned(), entry);
        }
        Ok(machine)
    }

    fn not_clonable(&self, spec: &MachineSpec) -> Option<String> {
        let (memory, reason) = self.not_clonable.as_ref()?;
        (spec.memory_mib == *memory).then(|| reason.clone())
    }

    fn clone_memory_cost(&self, spec: &MachineSpec) -> u64 {
        spec.memory_mib.div_ceil(CLONE_SHARE)
    }

    fn boot_cpus(&self, _spec: &MachineSpec) -> u32 {
        self.boot_cpus
    }

    async fn find_template(&self, order: &TemplateOrder) -> Option<Arc<dyn Template>> {
        let shared = self.shared();
        let found = shared.kept.iter().find(|kept| equal(&kept.order, order))?;
        Some(Arc::clone(found) as Arc<dyn Template>)
    }

    async fn freeze(
        &self,
        machine: Arc<dyn Machine>,
        order: &TemplateOrder,
        keep: bool,
    ) -> Result<Arc<dyn Template>, MachineError> {
        let (script, fake) = self.shared().freeze(machine.id());
        match script {
            Freeze::Ok => {}
            Freeze::Slow(time) => tokio::time::sleep(time).await,
            Freeze::Hangs => std::future::pending().await,
            Freeze::Fails(reason) => {
                machine.stop().await;
                return Err(MachineError::Harness(reason));
            }
            Freeze::Says(line) => {
                if let Some(fake) = fake {
                    fake.say(&line).await;
                }
            }
        }
        machine.stop().await;
        let mut shared = self.shared();
        shared.stats.templates += 1;
        let template = Arc::new(FakeTemplate {
            key: format!("fake{}", shared.stats.templates),
            dir: machine.dir().to_path_buf(),
            order: order.clone(),
            guest: GuestFacts {
                os_id: shared.os.0.clone(),
                variant_id: shared.os.1.clone(),
                ..GuestFacts::default()
            },
            shared: Arc::clone(&self.shared),
        });
        if keep {
            shared.kept.push(Arc::clone(&template));
            shared.stats.kept = shared.kept.len();
        }
        Ok(template)
    }

    async fn launch_clone(&self, request: CloneRequest) -> Result<Arc<dyn Machine>, MachineError> {
        let fake = request.template.as_any().downcast_ref::<FakeTemplate>();
        let Some(fake) = fake else {
            let reason = "the template is of another platform".to_owned();
            return Err(MachineError::Harness(reason));
        };
        let cost = self.clone_memory_cost(&fake.order.spec);
        let (boot, number) = {
            let mut shared = self.shared();
            shared.stats.ordered += 1;
            shared.stats.clones += 1;
            let boot = shared.wake(&request.owner);
            if let Boot::LaunchFails(reason) = boot {
                return Err(MachineError::Launch(reason));
            }
            (boot, shared.begin(cost))
        };
        Ok(self.start(number, &request.dir, Vec::new(), boot, cost, true))
    }

    async fn private_network(&self) -> Result<Arc<dyn PrivateNetwork>, MachineError> {
        let mut shared = self.shared();
        if let Some(reason) = &shared.no_networks {
            return Err(MachineError::Launch(reason.clone()));
        }
        let network = Arc::new(FakeNetwork::default());
        shared.networks.push(Arc::clone(&network));
        Ok(network)
    }

    async fn close(&self) -> Vec<String> {
        self.shared().left_behind.clone()
    }
}
