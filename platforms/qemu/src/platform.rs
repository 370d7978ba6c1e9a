//! The platform: everything that is found out and made once a run.

mod clonable;
mod cost;
mod new;
mod resolve;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use async_trait::async_trait;
use kolea_machine::{
    CloneRequest, LaunchRequest, Machine, MachineError, Platform, PlatformFacts, PrivateNetwork,
    Provisioning, Template, TemplateOrder,
};
use kolea_model::{BootFrom, DiskSpec, Firmware, HostMount, MachineNeeds, MachineSpec};

use self::resolve::disks;
use crate::boot::{self, Edits};
use crate::command_line::{self, Accelerator};
use crate::iso::{check_keyfiles, no_iso};
use crate::launch::{self, Common, launch};
use crate::machine::QemuMachine;
use crate::start::Lives;
use crate::switch::Switch;
use crate::templates::{self, Store, TemplateKey};
use crate::workdir::WorkDir;
use crate::{QemuError, minimal, nbd, pxe, sectors};

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
    /// Kernel arguments of live systems that are booted over the network.
    pxe_kernel_args: Option<String>,
    /// The disk image that live systems install from a server.
    metal: Option<PathBuf>,
    /// The same for disks with sectors of 4096 bytes.
    metal_4k: Option<PathBuf>,
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
    /// Whether this host and the image can give a test what it asks for, as far as that can be told before anything boots. The
    /// error is one line for people, without the test's name.
    pub fn check(&self, needs: &MachineNeeds) -> Result<(), String> {
        let spec = self.resolve(needs);
        let common = &self.common;
        check_keyfiles(&spec, common.iso.as_ref())?;
        if spec.boot_from.is_none() {
            sectors::check(
                &common.image,
                &spec.primary_disk,
                common.arch,
                spec.firmware,
            )
            .map_err(|error| format!("primaryDisk: the image's {error}"))?;
        } else if let Some(iso) = &common.iso {
            pxe::check(&spec, iso)?;
            minimal::check(&spec, iso)?;
        } else {
            return Err(no_iso().to_string());
        }
        if needs.metal {
            let nothing = "there is no disk image that could be installed from a server";
            let image = self.metal(needs).ok_or(nothing)?;
            if !image.is_file() {
                return Err(format!(
                    "there is no disk image {} that could be installed from a server (--metal-image)",
                    image.display()
                ));
            }
        }
        if disks(&spec).any(|disk| disk.multipath) {
            nbd::find().map_err(|error| format!("mpath: {error}"))?;
        }
        Ok(())
    }

    /// Whether the image can be changed as these tests need it, and as the options say (kernel arguments, a config in its boot
    /// file system). Nothing of it is looked at if they need no change.
    pub async fn check_image<'a>(
        &self,
        needs: impl IntoIterator<Item = &'a MachineNeeds>,
    ) -> Result<(), QemuError> {
        for needs in needs {
            let spec = self.resolve(needs);
            let edits = Edits::of(&spec);
            let changes = !edits.is_empty() || self.common.by_hand.inject;
            if changes && spec.boot_from.is_none() {
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

#[async_trait]
impl Platform for QemuPlatform {
    fn facts(&self) -> &PlatformFacts {
        &self.facts
    }

    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec {
        self.spec(needs)
    }

    fn memory_cost(&self, spec: &MachineSpec) -> u64 {
        cost::of_machine(spec, self.common.accelerator)
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
        clonable::why_not(spec, &self.common.qemu_version)
    }

    fn clone_memory_cost(&self, spec: &MachineSpec) -> u64 {
        cost::of_clone(spec, self.common.accelerator)
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
        let shared = self.work.path().join(pxe::DIR);
        for dir in private.into_iter().chain([shared]) {
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
