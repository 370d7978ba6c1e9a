//! Making the platform.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex};

use kolea_machine::PlatformFacts;
use kolea_machine::profile::Profile;
use tokio::sync::OnceCell;

use super::QemuPlatform;
use super::resolve::{CPUS, absolute};
use crate::arch::Arch;
use crate::cache::Cache;
use crate::disk_size::DiskSize;
use crate::firmware::Firmwares;
use crate::iso::LiveIso;
use crate::launch::Common;
use crate::options::{QemuOptions, Tpm};
use crate::swtpm::Swtpm;
use crate::templates::Store;
use crate::workdir::{WorkDir, default_parent};
use crate::{QemuError, accel, drives, image, mounts, nbd, provision, sectors, tools, usernet};

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
            pxe_kernel_args: options.pxe_kernel_args,
            metal: options.metal,
            metal_4k: options.metal_4k,
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
                pxe: OnceCell::new(),
                minimal: OnceCell::new(),
                swtpm,
            },
            work,
            store,
            lives: Mutex::default(),
            freezable: Mutex::default(),
            private: Mutex::default(),
        })
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bad_sizes_are_told() {
        assert_eq!(disk_size(None, 1000).unwrap(), 1000);
        assert_eq!(disk_size(Some("+1K"), 1024).unwrap(), 2048);
        let error = disk_size(Some("big"), 1000).unwrap_err().to_string();
        assert!(
            error.starts_with("cannot make disks of size \"big\" (--qemu-size): it is not a size"),
            "{error}"
        );
    }
}
