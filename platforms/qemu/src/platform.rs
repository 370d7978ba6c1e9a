//! The platform: everything that is found out and made once a run.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use async_trait::async_trait;
use kolea_machine::ssh::SshKey;
use kolea_machine::{
    CloneRequest, LaunchRequest, Machine, MachineError, Platform, PlatformFacts, Template,
    TemplateOrder,
};
use kolea_model::{Firmware, MachineNeeds, MachineSpec};

use crate::arch::Arch;
use crate::cache::Cache;
use crate::command_line::{Accelerator, TRANSLATION_BUFFER_MIB};
use crate::launch::{Common, launch};
use crate::options::QemuOptions;
use crate::supervisor::Life;
use crate::workdir::{WorkDir, default_parent};
use crate::{QemuError, accel, image, tools};

/// What QEMU needs beside the guest's memory, in MiB: itself (about 60 MiB measured), device state, page tables, and
/// the page cache of the overlay that can't be dropped at once.
const QEMU_MIB: u64 = 128;

/// Machines in QEMU, from one image.
#[derive(Debug)]
pub struct QemuPlatform {
    facts: PlatformFacts,
    firmware: Firmware,
    memory_mib: Option<u64>,
    common: Common,
    work: WorkDir,
    /// Of all machines whose process may still be there.
    lives: Mutex<Vec<Arc<Life>>>,
}

impl QemuPlatform {
    /// Finds QEMU, checks the image, chooses the accelerator and removes what dead runs left. When this succeeds, machines
    /// can be started.
    pub async fn new(options: QemuOptions) -> Result<QemuPlatform, QemuError> {
        let arch = Arch::from_name(&options.arch)?;
        let firmware = arch.firmware(options.firmware)?;
        let qemu = tools::find(arch.program(), arch.package())?;
        let qemu_img = tools::find("qemu-img", "qemu-utils")?;
        let firmware_files = match firmware {
            Firmware::Bios => None,
            Firmware::Uefi => Some(arch.uefi()?),
        };
        let image = image::inspect(&options.image, arch, &qemu_img).await?;
        let work = WorkDir::create(&options.work_dir.unwrap_or_else(default_parent))?;
        let cache = Cache::new(options.cache_dir);
        let version = tools::version(&qemu).await?;
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

        let memory = options
            .memory_mib
            .unwrap_or_else(|| arch.default_memory_mib());
        let properties = [
            ("image", image.path.display().to_string()),
            ("image-sha256", digest),
            ("accelerator", choice.accelerator.name().to_owned()),
            ("accelerator-reason", choice.reason),
            ("qemu-version", version),
            ("qemu-binary", qemu.display().to_string()),
            (
                "firmware",
                match firmware {
                    Firmware::Bios => "bios".to_owned(),
                    Firmware::Uefi => "uefi".to_owned(),
                },
            ),
            ("machine-memory-mib", memory.to_string()),
            ("machine-cpus", CPUS.to_string()),
        ];
        Ok(QemuPlatform {
            facts: PlatformFacts {
                name: "qemu".to_owned(),
                arch: arch.name().to_owned(),
                timeout_factor: choice.timeout_factor,
                properties: BTreeMap::from(properties.map(|(key, value)| (key.to_owned(), value))),
            },
            firmware,
            memory_mib: options.memory_mib,
            common: Common {
                arch,
                accelerator: choice.accelerator,
                qemu,
                qemu_img,
                image,
                firmware: firmware_files,
                profile: options.profile,
                key: Arc::new(
                    SshKey::generate().map_err(|error| QemuError::Key(error.to_string()))?,
                ),
            },
            work,
            lives: Mutex::default(),
        })
    }

    /// Where this run keeps overlays.
    pub fn work_dir(&self) -> PathBuf {
        self.work.path().to_owned()
    }
}

/// Virtual CPUs of a machine (kola's default).
const CPUS: u32 = 1;

#[async_trait]
impl Platform for QemuPlatform {
    fn facts(&self) -> &PlatformFacts {
        &self.facts
    }

    fn resolve(&self, needs: &MachineNeeds) -> MachineSpec {
        MachineSpec {
            memory_mib: self
                .memory_mib
                .or(needs.memory_mib)
                .unwrap_or_else(|| self.common.arch.default_memory_mib()),
            cpus: CPUS,
            disk_gib: needs.disk_gib,
            firmware: self.firmware,
            internet: needs.internet,
            hostname: "qemu0".to_owned(),
        }
    }

    fn memory_cost(&self, spec: &MachineSpec) -> u64 {
        let translation = match self.common.accelerator {
            Accelerator::Kvm => 0,
            // Translated code, and half as much again for QEMU's tables about it.
            Accelerator::Tcg => TRANSLATION_BUFFER_MIB * 3 / 2,
        };
        spec.memory_mib + QEMU_MIB + translation
    }

    async fn launch(&self, request: LaunchRequest) -> Result<Arc<dyn Machine>, MachineError> {
        {
            let mut lives = self.lives.lock().unwrap_or_else(PoisonError::into_inner);
            lives.retain(|life| life.exit.borrow().is_none());
        }
        let machine = launch(&self.common, self.work.path(), request, &self.lives).await?;
        Ok(Arc::new(machine))
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
        let lives = std::mem::take(&mut *self.lives.lock().unwrap_or_else(PoisonError::into_inner));
        let mut left = Vec::new();
        for life in lives {
            if life.is_left_running() {
                left.push("a machine was still running".to_owned());
            }
            life.kill();
            life.ended().await;
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
