//! The platform: everything that is found out and made once a run.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use kolea_machine::profile::Profile;
use kolea_machine::{
    CloneRequest, LaunchRequest, Machine, MachineError, Platform, PlatformFacts, PrivateNetwork,
    Provisioning, Template, TemplateOrder,
};
use kolea_model::{
    BootFrom, DiskChannel, DiskSpec, Firmware, HostMount, MachineNeeds, MachineSpec,
};
use tokio::sync::OnceCell;

use crate::arch::Arch;
use crate::boot::{self, Edits};
use crate::cache::Cache;
use crate::command_line::{self, Accelerator, TRANSLATION_BUFFER_MIB};
use crate::disk_size::DiskSize;
use crate::firmware::Firmwares;
use crate::iso::{LiveIso, no_iso};
use crate::launch::{self, Common, launch};
use crate::machine::QemuMachine;
use crate::nbd::NBD_MIB;
use crate::options::{QemuOptions, Tpm};
use crate::start::Lives;
use crate::switch::Switch;
use crate::swtpm::{SWTPM_MIB, Swtpm};
use crate::templates::{self, Store, TemplateKey};
use crate::virtiofsd::VIRTIOFSD_MIB;
use crate::workdir::{WorkDir, default_parent};
use crate::{QemuError, accel, drives, image, mounts, nbd, provision, sectors, tools, usernet};

/// What QEMU needs beside the guest's memory, in MiB: itself (about 60 MiB measured), device state, page tables, and
/// the page cache of the overlay that can't be dropped at once.
const QEMU_MIB: u64 = 128;

/// What a clone costs, in MiB, besides its template's memory, which all clones share and the host can drop at any time (it
/// is a file's). Measured under TCG with a guest of 1 GiB, private memory of the process: 40 MiB after it woke, 95 after a
/// log-in over SSH, 141 after a trivial test, of which QEMU itself is 30 and translated code half of the rest. A test may
/// do more than that, so several times as much is counted; one that needs memory says so in its spec.
fn clone_cost(memory_mib: u64, accelerator: Accelerator) -> u64 {
    let translation = match accelerator {
        Accelerator::Kvm => 0,
        Accelerator::Tcg => TRANSLATION_BUFFER_MIB / 2,
    };
    memory_mib / 4 + QEMU_MIB + translation
}

/// Machines in QEMU, from one image.
#[derive(Debug)]
pub struct QemuPlatform {
    facts: PlatformFacts,
    firmware: Firmware,
    tpm: bool,
    /// What machines boot from, unless their tests say.
    boot_from: Option<BootFrom>,
    memory_mib: Option<u64>,
    /// The network of every machine's primary interface.
    usernet: Option<String>,
    /// Directories of the host that every machine has.
    mounts: Vec<HostMount>,
    /// What the primary disk is like if its test does not say.
    primary_disk: DiskSpec,
    /// Kernel arguments that every machine has.
    kernel_args: Option<String>,
    firstboot_kernel_args: Option<String>,
    common: Common,
    work: WorkDir,
    /// Where templates of earlier runs are.
    store: Option<Store>,
    /// Of all machines whose process may still be there.
    lives: Lives,
    /// Machines that may be frozen, by their ids.
    freezable: Mutex<BTreeMap<String, Weak<QemuMachine>>>,
    /// The directories of templates that end with the run.
    private: Mutex<Vec<PathBuf>>,
}

impl QemuPlatform {
    /// Finds QEMU, checks the image, chooses the accelerator and removes what dead runs left. When this succeeds, machines
    /// can be started.
    pub async fn new(options: QemuOptions) -> Result<QemuPlatform, QemuError> {
        let arch = Arch::from_name(&options.arch)?;
        let firmware = arch.firmware(options.firmware)?;
        let key = provision::key(
            options.provisioning,
            arch,
            &options.profile.user,
            options.ssh_key.as_deref(),
        )?;
        let qemu = tools::find(arch.program(), arch.package())?;
        let qemu_img = tools::find("qemu-img", "qemu-utils")?;
        if let Some(network) = &options.usernet {
            usernet::check(network)?;
        }
        let mounts = absolute(&options.mounts);
        mounts::check_mounts(&mounts).map_err(QemuError::Mount)?;
        let image = match options.boot_from {
            None => image::inspect(&options.image, arch, &qemu_img).await?,
            Some(_) => image::of_iso(&options.image)?,
        };
        let iso = options.boot_from.map(|_| &options.image);
        let iso = match iso.or(options.iso.as_ref()) {
            Some(path) => Some(live_iso(path, &options.profile).await?),
            None => None,
        };
        let primary_disk = drives::primary_disk(None, &options.primary_disk);
        sectors::check(&image, &primary_disk, arch, firmware).map_err(|error| {
            QemuError::Image {
                path: image.path.clone(),
                message: format!("its {error}"),
            }
        })?;
        if primary_disk.multipath {
            nbd::find()?;
        }
        let disk = disk_size(options.disk_size.as_deref(), image.virtual_size)?;
        let work = WorkDir::create(&options.work_dir.unwrap_or_else(default_parent))?;
        let cache = Cache::new(options.cache_dir);
        // Losing the cache costs time and nothing else.
        let store = options
            .template_cache
            .as_ref()
            .and_then(|cache| match Store::open(cache) {
                Ok(store) => Some(store),
                Err(error) => {
                    tracing::warn!(
                        "{error}; templates are not kept beyond this run (--template-cache off does without them)"
                    );
                    None
                }
            });
        let version = tools::version(&qemu).await?;
        let firmwares = Firmwares::find(&qemu, arch, &cache).await?;
        firmwares.files(firmware)?;
        let swtpm = swtpm(options.tpm, arch, work.path()).await?;
        let choice = accel::choose(options.accel, arch, &qemu, work.path(), &cache).await?;
        // Not at the same time as the probe, which it would disturb.
        let digest = tokio::task::spawn_blocking({
            let (path, cache) = (image.path.clone(), cache.clone());
            move || image::digest(&path, &cache)
        })
        .await;
        let digest = digest
            .map_err(std::io::Error::other)
            .flatten()
            .map_err(|error| QemuError::Image {
                path: image.path.clone(),
                message: format!("it cannot be read to its end: {error}"),
            })?;

        let memory = arch.memory_mib(options.memory_mib, None);
        let properties = [
            ("image", image.path.display().to_string()),
            ("image-sha256", digest.clone()),
            ("accelerator", choice.accelerator.name().to_owned()),
            ("accelerator-reason", choice.reason),
            ("qemu-version", version.clone()),
            ("machine-type", firmwares.machine_type(firmware).to_owned()),
            ("qemu-binary", qemu.display().to_string()),
            ("firmware", firmware.name().to_owned()),
            ("swtpm", swtpm.is_some().to_string()),
            ("provisioning", options.provisioning.name().to_owned()),
            ("machine-memory-mib", memory.to_string()),
            ("machine-cpus", CPUS.to_string()),
        ];
        Ok(QemuPlatform {
            facts: PlatformFacts {
                name: match options.boot_from {
                    None => "qemu".to_owned(),
                    Some(_) => "qemu-iso".to_owned(),
                },
                arch: arch.name().to_owned(),
                timeout_factor: choice.timeout_factor,
                properties: BTreeMap::from(properties.map(|(key, value)| (key.to_owned(), value))),
            },
            firmware,
            tpm: swtpm.is_some(),
            boot_from: options.boot_from,
            memory_mib: options.memory_mib,
            usernet: options.usernet,
            mounts,
            primary_disk,
            kernel_args: options.kernel_args,
            firstboot_kernel_args: options.firstboot_kernel_args,
            common: Common {
                arch,
                accelerator: choice.accelerator,
                qemu,
                qemu_version: version,
                qemu_img,
                image,
                image_sha256: digest,
                iso,
                disk,
                firmwares,
                profile: options.profile,
                provisioning: options.provisioning,
                key: Arc::new(key),
                virtiofsd: OnceCell::new(),
                by_hand: options.by_hand,
                boot: OnceCell::new(),
                swtpm,
            },
            work,
            store,
            lives: Mutex::default(),
            freezable: Mutex::default(),
            private: Mutex::default(),
        })
    }

    /// Whether this host and the image can give a test what it asks for, as far as that can be told before anything boots. The
    /// error is one line for people, without the test's name.
    pub fn check(&self, needs: &MachineNeeds) -> Result<(), String> {
        let spec = self.resolve(needs);
        let common = &self.common;
        if spec.boot_from.is_none() {
            sectors::check(
                &common.image,
                &spec.primary_disk,
                common.arch,
                spec.firmware,
            )
            .map_err(|error| format!("primaryDisk: the image's {error}"))?;
        } else if common.iso.is_none() {
            return Err(no_iso().to_string());
        }
        if disks(&spec).any(|disk| disk.multipath) {
            nbd::find().map_err(|error| format!("mpath: {error}"))?;
        }
        Ok(())
    }

    /// Whether the image can be changed as these tests need it, and as the options say (kernel arguments). Nothing of it is
    /// looked at if they need no change.
    pub async fn check_image<'a>(
        &self,
        needs: impl IntoIterator<Item = &'a MachineNeeds>,
    ) -> Result<(), QemuError> {
        for needs in needs {
            let spec = self.resolve(needs);
            let edits = Edits::of(&spec);
            if !edits.is_empty() && spec.boot_from.is_none() {
                let partition = boot::partition(&self.common, self.work.path()).await?;
                partition.check(&edits)?;
            }
        }
        Ok(())
    }

    /// The command line of a machine that somebody starts by hand, again and again: its files are made in the request's
    /// directory and stay there. The console is on QEMU's own standard input and output; of what kolea knows of its machines
    /// (journal, monitor, agent) there is nothing.
    pub async fn command(&self, request: &LaunchRequest) -> Result<String, MachineError> {
        let args = launch::prepare(&self.common, self.work.path(), request).await?;
        let qemu = self.common.qemu.as_os_str();
        Ok(command_line::shell_quoted(qemu, &args))
    }

    /// Where this run keeps overlays.
    pub fn work_dir(&self) -> PathBuf {
        self.work.path().to_owned()
    }
}

impl QemuPlatform {
    fn forget_ended(&self) {
        let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
        lives.retain(|life| life.exit.borrow().is_none());
    }
}

/// The first QEMU that saves a machine to a file and maps a template's memory as clones need it (`file:` migration,
/// `rom=` of memory-backend-file).
const CLONING_QEMU: (u32, u32) = (8, 2);

/// Why machines of a QEMU can't be cloned. All that a machine is made of can be saved: virtio devices, the boards' own
/// and flash memory under both accelerators; KVM on Arm saves its interrupt controller since Linux 4.8 (without an ITS)
/// and 4.15 (with one).
fn not_clonable(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', ' ']).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return None; // built from somebody's tree: it will say so itself
    };
    ((major, minor) < CLONING_QEMU).then(|| {
        let (needed, least) = CLONING_QEMU;
        format!("QEMU {version} cannot clone machines; {needed}.{least} and newer can")
    })
}

/// The swtpm for the TPMs of all machines; none if they are to have none.
async fn swtpm(wanted: Tpm, arch: Arch, work: &Path) -> Result<Option<Swtpm>, QemuError> {
    if wanted == Tpm::None || arch.tpm_device().is_none() {
        return Ok(None);
    }
    match Swtpm::find(work).await {
        Ok(swtpm) => Ok(Some(swtpm)),
        Err(why) if wanted == Tpm::Required => Err(QemuError::Tpm(why)),
        Err(why) => {
            tracing::warn!("machines have no TPM: {why} (--qemu-swtpm=false if that is fine)");
            Ok(None)
        }
    }
}

/// What a machine's TPM costs, in MiB.
fn tpm_mib(spec: &MachineSpec) -> u64 {
    if spec.tpm { SWTPM_MIB } else { 0 }
}

async fn live_iso(path: &Path, profile: &Profile) -> Result<LiveIso, QemuError> {
    let opened = tokio::task::spawn_blocking({
        let (path, profile) = (path.to_owned(), profile.clone());
        move || LiveIso::open(&path, &profile)
    });
    let fault = |message: String| QemuError::Image {
        path: path.to_owned(),
        message,
    };
    let iso = opened.await.map_err(|error| fault(error.to_string()))?;
    iso.map_err(|error| fault(error.to_string()))
}

/// Virtual CPUs of a machine (kola's default).
const CPUS: u32 = 1;
/// NUMA nodes of a machine that is to have several, each with a virtual CPU (kola's too).
const NODES: u32 = 2;

/// The mounts with the absolute paths of the host's directories.
fn absolute(mounts: &[HostMount]) -> Vec<HostMount> {
    let absolute = |mount: &HostMount| HostMount {
        host: std::path::absolute(&mount.host).unwrap_or_else(|_| mount.host.clone()),
        ..mount.clone()
    };
    mounts.iter().map(absolute).collect()
}

/// The mounts of all machines and those of one. What is in both is mounted once.
fn all_mounts(common: &[HostMount], own: &[HostMount]) -> Vec<HostMount> {
    let mut all = common.to_vec();
    for mount in absolute(own) {
        if !all.contains(&mount) {
            all.push(mount);
        }
    }
    all
}

/// All disks of a machine.
fn disks(spec: &MachineSpec) -> impl Iterator<Item = &DiskSpec> {
    spec.disks.iter().chain([&spec.primary_disk])
}

/// Why a machine with those disks can't be frozen, for people.
fn unfreezable(spec: &MachineSpec) -> Option<&'static str> {
    if disks(spec).any(|disk| disk.multipath) {
        // What serves it has the file open, outside of QEMU.
        return Some("a machine with a disk on several paths cannot be frozen");
    }
    let nvme = |disk: &DiskSpec| disk.channel == DiskChannel::Nvme;
    disks(spec)
        .any(nvme)
        .then_some("a machine with an NVMe disk cannot be frozen (QEMU cannot save such disks)")
}

/// What a test needs of its primary disk, in GiB: the larger of `minDisk` and the size in `primaryDisk`.
fn disk_gib(needs: &MachineNeeds) -> Option<u64> {
    let primary = needs.primary_disk.as_ref().and_then(|disk| disk.size_gib);
    needs.disk_gib.max(primary)
}

/// The size of the primary disk on an image, in bytes, given what the user asked for.
fn disk_size(asked: Option<&str>, image: u64) -> Result<u64, QemuError> {
    let Some(text) = asked else {
        return Ok(image);
    };
    let size = DiskSize::parse(text).and_then(|size| size.on(image));
    size.map_err(|error| QemuError::DiskSize {
        size: text.to_owned(),
        message: error.to_string(),
    })
}

#[async_trait]
impl Platform for QemuPlatform {
    fn facts(&self) -> &PlatformFacts {
        &self.facts
    }

    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec {
        MachineSpec {
            memory_mib: self
                .common
                .arch
                .memory_mib(self.memory_mib, needs.memory_mib),
            cpus: if needs.numa { NODES } else { CPUS },
            disk_gib: disk_gib(needs),
            firmware: needs.wanted_firmware().unwrap_or(self.firmware),
            internet: needs.internet,
            numa: needs.numa,
            mounts: all_mounts(&self.mounts, &needs.mounts),
            primary_disk: drives::primary_disk(needs.primary_disk.as_ref(), &self.primary_disk),
            disks: needs.additional_disks.clone(),
            nics: needs.additional_nics,
            usernet: self.usernet.clone(),
            private_network: needs.private_network,
            host_forwards: needs.host_forwards.clone(),
            boot_from: needs.boot_from.or(self.boot_from),
            console_only: needs.console_only,
            kernel_args: boot::joined(self.kernel_args.as_deref(), needs.kernel_args.as_deref()),
            firstboot_kernel_args: boot::joined(
                self.firstboot_kernel_args.as_deref(),
                needs.firstboot_kernel_args.as_deref(),
            ),
            tpm: self.tpm,
            hostname: self.hostname(0),
        }
    }

    fn memory_cost(&self, spec: &MachineSpec) -> u64 {
        let translation = match self.common.accelerator {
            Accelerator::Kvm => 0,
            // Translated code, and half as much again for QEMU's tables about it.
            Accelerator::Tcg => TRANSLATION_BUFFER_MIB * 3 / 2,
        };
        let served = disks(spec).filter(|disk| disk.multipath).count();
        let helpers = VIRTIOFSD_MIB * spec.mounts.len() as u64 + NBD_MIB * served as u64;
        spec.memory_mib + QEMU_MIB + translation + helpers + tpm_mib(spec)
    }

    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError> {
        self.forget_ended();
        let freezable = request.freezable;
        let (work, store) = (self.work.path(), self.store.as_ref());
        let machine = launch(&self.common, work, store, request, &self.lives).await?;
        let machine = Arc::new(machine);
        if freezable {
            let mut machines = self
                .freezable
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            machines.retain(|_, machine| machine.strong_count() > 0);
            machines.insert(machine.id().to_owned(), Arc::downgrade(&machine));
        }
        Ok(machine)
    }

    fn not_clonable(&self, spec: &MachineSpec) -> Option<String> {
        // virtiofsd's files are open outside of QEMU, and QEMU's own 9p refuses to be saved while it is mounted.
        let mounted = !spec.mounts.is_empty();
        let own = || {
            "each machine on a private network has an address of its own, which clones cannot be given".to_owned()
        };
        mounted
            .then_some("a machine with directories of the host in it cannot be frozen")
            .or_else(|| unfreezable(spec))
            .map(str::to_owned)
            .or_else(|| {
                let why = "nobody can log in to the machine to prepare it for being frozen";
                spec.console_only.then(|| why.to_owned())
            })
            .or_else(|| spec.private_network.then(own))
            .or_else(|| not_clonable(&self.common.qemu_version))
    }

    fn clone_memory_cost(&self, spec: &MachineSpec) -> u64 {
        let cost = clone_cost(spec.memory_mib, self.common.accelerator) + tpm_mib(spec);
        cost.min(self.memory_cost(spec))
    }

    fn boot_cpus(&self, spec: &MachineSpec) -> u32 {
        match self.common.accelerator {
            Accelerator::Kvm => 0,
            Accelerator::Tcg => spec.cpus,
        }
    }

    async fn find_template(&self, order: &TemplateOrder) -> Option<Arc<dyn Template>> {
        let store = self.store.clone()?;
        let key = TemplateKey::new(&self.common, order);
        let found = tokio::task::spawn_blocking(move || store.find(&key)).await;
        Some(Arc::new(found.ok()??))
    }

    async fn freeze(
        &self,
        machine: Arc<dyn Machine>,
        order: &TemplateOrder,
        keep: bool,
    ) -> Result<Arc<dyn Template>, MachineError> {
        let known = {
            let machines = self
                .freezable
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            machines.get(machine.id()).and_then(Weak::upgrade)
        };
        let key = TemplateKey::new(&self.common, order);
        let store = self.store.clone().filter(|_| keep);
        let frozen = match known {
            Some(known) => {
                let public_key = match self.common.provisioning {
                    // The image's own, wherever that is.
                    Provisioning::None => None,
                    _ => Some(self.common.key.public_line()),
                };
                templates::freeze(&known, key, public_key, store).await
            }
            None => Err(MachineError::Harness(format!(
                "cannot freeze the machine {}: it was not started for that",
                machine.id()
            ))),
        };
        machine.stop().await;
        let frozen = frozen?;
        if frozen.ends_with_run() {
            let mut private = self.private.lock().unwrap_or_else(PoisonError::into_inner);
            private.push(frozen.dir().to_owned());
        }
        Ok(frozen)
    }

    async fn launch_clone(&self, request: CloneRequest) -> Result<Arc<dyn Machine>, MachineError> {
        self.forget_ended();
        let machine =
            templates::launch_clone(&self.common, self.work.path(), request, &self.lives).await?;
        Ok(Arc::new(machine))
    }

    async fn private_network(&self) -> Result<Arc<dyn PrivateNetwork>, MachineError> {
        Ok(Arc::new(Switch::new()))
    }

    async fn close(&self) -> Vec<String> {
        let lives = std::mem::take(&mut *self.lives.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = Vec::new();
        for life in lives {
            if life.is_left_running() {
                left.push("a machine was still running".to_owned());
            }
            life.kill();
            life.ended().await;
        }
        let private =
            std::mem::take(&mut *self.private.lock().unwrap_or_else(PoisonError::into_inner));
        for dir in private {
            match std::fs::remove_dir_all(&dir) {
                Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                    left.push(format!("cannot remove {}: {error}", dir.display()));
                }
                _ => {}
            }
        }
        let work = self.work.path();
        left.extend(
            self.work
                .leftovers()
                .into_iter()
                .map(|name| format!("{} was left behind", work.join(name).display())),
        );
        if let Err(error) = self.work.remove() {
            left.push(format!("cannot remove {}: {error}", work.display()));
        }
        left
    }
}

#[cfg(test)]
#[path = "numa_tests.rs"]
mod numa_tests;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_old_qemu_cannot_clone() {
        assert_eq!(not_clonable("10.0.2 (Debian 1:10.0.2+ds-2)"), None);
        assert_eq!(not_clonable("8.2.0"), None);
        let reason = not_clonable("7.2.17 (Debian 1:7.2+dfsg)").unwrap();
        assert!(reason.contains("8.2 and newer"), "{reason}");
        assert_eq!(not_clonable("from the future"), None);
    }

    #[test]
    fn the_larger_size_wins_and_bad_ones_are_told() {
        let needs = |disk_gib, size_gib| MachineNeeds {
            disk_gib,
            primary_disk: Some(kolea_model::DiskSpec {
                size_gib,
                ..Default::default()
            }),
            ..MachineNeeds::default()
        };
        assert_eq!(disk_gib(&MachineNeeds::default()), None);
        assert_eq!(disk_gib(&needs(None, None)), None);
        assert_eq!(disk_gib(&needs(None, Some(7))), Some(7));
        assert_eq!(disk_gib(&needs(Some(8), Some(7))), Some(8));
        assert_eq!(disk_gib(&needs(Some(6), Some(7))), Some(7));

        assert_eq!(disk_size(None, 1000).unwrap(), 1000);
        assert_eq!(disk_size(Some("+1K"), 1024).unwrap(), 2048);
        let error = disk_size(Some("big"), 1000).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot make disks of size \"big\" (--qemu-size): it is not a size"),
            "{error}"
        );
    }

    #[test]
    fn a_directory_for_all_and_for_one_is_mounted_once() {
        let mount = |host: &str, guest: &str| HostMount {
            host: host.into(),
            guest: guest.to_owned(),
            writable: false,
        };
        let common = [mount("/a", "/srv/a")];
        let own = [
            mount("/a", "/srv/a"),
            mount("/b", "/srv/b"),
            mount("/b", "/srv/b"),
        ];
        let all = all_mounts(&common, &own);
        assert_eq!(all, [mount("/a", "/srv/a"), mount("/b", "/srv/b")]);
        let here = absolute(&[mount("src", "/srv")]);
        assert_eq!(here[0].host, std::env::current_dir().unwrap().join("src"));
    }

    #[test]
    fn a_clone_costs_a_third_of_a_machine() {
        let cold = 1024 + QEMU_MIB + TRANSLATION_BUFFER_MIB * 3 / 2;
        assert!(clone_cost(1024, Accelerator::Tcg) * 3 <= cold);
        assert_eq!(clone_cost(4096, Accelerator::Kvm), 1024 + QEMU_MIB);
    }
}
