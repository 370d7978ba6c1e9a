//! Platforms and features that are not built in: one line for each, before anything is done.

use std::path::{Path, PathBuf};

use anyhow::anyhow;
use kolea_model::{BootFrom, DiskChannel, DiskSpec, Firmware, Sectors};
use kolea_qemu::Tpm;

use super::{path, text};
use crate::args::{FirmwareArg, Foreign, GlobalArgs, Invocation};
use crate::cmd::Failure;
use crate::program::warn;

/// Platforms that kola has and that are not built in.
const CLOUDS: &[&str] = &["aws", "azure", "do", "esx", "gcp", "openstack"];

/// That something of kola's is still to come.
pub fn not_yet(what: &str) -> Failure {
    Failure::usage(anyhow!("{what} is not supported yet"))
}

/// The platform, and what its machines boot from, if not from a disk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ChosenPlatform {
    /// Its name in metadata and reports.
    pub name: &'static str,
    /// What machines boot from.
    pub boot_from: Option<BootFrom>,
    /// The live ISO that was named.
    pub iso: Option<PathBuf>,
}

/// The platform; an error if it is not built in. `image`: the file that was named. A live ISO is recognised by what is in it.
pub fn resolve(invocation: &Invocation, image: Option<&Path>) -> Result<ChosenPlatform, Failure> {
    let target = &invocation.cli.global.target;
    let asked = text(&target.platform);
    let image_iso = image.filter(|image| kolea_iso::Iso::open(image).is_ok());
    let named = path(&target.qemu_iso);
    let from_iso = match asked.as_deref() {
        None => image_iso.is_some() || (named.is_some() && image.is_none()),
        Some("qemu" | "qemu-unpriv") => false,
        Some("iso" | "qemu-iso") => true,
        Some(platform) => {
            let fault = if CLOUDS.contains(&platform) {
                "is not built in"
            } else {
                "is not known"
            };
            return Err(Failure::usage(anyhow!(
                "platform `{platform}` {fault}; there are `qemu` and `qemu-iso`"
            )));
        }
    };
    refuse_foreign(&invocation.foreign)?;
    if let Some(image) = image_iso.filter(|_| !from_iso) {
        return Err(Failure::usage(anyhow!(
            "{} is an ISO, and platform `qemu` boots from disks; leave out `-p qemu`, or name it by --qemu-iso",
            image.display()
        )));
    }
    if target.qemu_iso_as_disk && !from_iso {
        return Err(Failure::usage(anyhow!(
            "--qemu-iso-as-disk is about platform `qemu-iso`; name a live ISO"
        )));
    }
    let boot_from = match target.qemu_iso_as_disk {
        true => BootFrom::IsoAsDisk,
        false => BootFrom::Iso,
    };
    Ok(ChosenPlatform {
        name: if from_iso { "qemu-iso" } else { "qemu" },
        boot_from: from_iso.then_some(boot_from),
        iso: named.or(image.filter(|_| from_iso)).map(Path::to_path_buf),
    })
}

/// An error for flags whose features are still to come; a warning for those of clouds, which do nothing on QEMU.
pub fn refuse_foreign(given: &[&Foreign]) -> Result<(), Failure> {
    if given.iter().any(|flag| flag.name == "stream") {
        return Err(Failure::usage(anyhow!(
            "--stream looks for the images of clouds, which are not built in; name an image, or a build by --build"
        )));
    }
    let names = |flags: &mut dyn Iterator<Item = &&Foreign>| -> Vec<String> {
        flags.map(|flag| format!("--{}", flag.name)).collect()
    };
    let later = names(&mut given.iter().filter(|flag| flag.cloud.is_none()));
    if !later.is_empty() {
        return Err(not_yet(&later.join(", ")));
    }
    let clouds = names(&mut given.iter().filter(|flag| flag.cloud.is_some()));
    if !clouds.is_empty() {
        warn(format_args!(
            "without effect on platform qemu: {}",
            clouds.join(", ")
        ));
    }
    Ok(())
}

/// What the flags say about the primary disk.
pub fn primary_disk(global: &GlobalArgs) -> Result<DiskSpec, Failure> {
    let flags = &global.qemu;
    let contradiction = |what: &str| Err(Failure::usage(anyhow!("{what}; leave out one of them")));
    if flags.qemu_native_4k && flags.qemu_512e {
        return contradiction("--qemu-native-4k and --qemu-512e are different sectors");
    }
    if flags.qemu_nvme && flags.qemu_multipath {
        return contradiction(
            "--qemu-multipath gives paths over SCSI, and --qemu-nvme an NVMe disk",
        );
    }
    Ok(DiskSpec {
        channel: if flags.qemu_nvme {
            DiskChannel::Nvme
        } else {
            DiskChannel::default()
        },
        sectors: match (flags.qemu_native_4k, flags.qemu_512e) {
            (true, _) => Sectors::Native4k,
            (false, true) => Sectors::Emulated512,
            (false, false) => Sectors::default(),
        },
        multipath: flags.qemu_multipath,
        ..DiskSpec::default()
    })
}

/// `--qemu-swtpm`: what is not said by anybody holds as far as this host can.
pub fn tpm(invocation: &Invocation) -> Tpm {
    match invocation.cli.global.qemu.qemu_swtpm {
        false => Tpm::None,
        true if invocation.given("qemu-swtpm") => Tpm::Required,
        true => Tpm::Auto,
    }
}

/// `--qemu-firmware`.
pub fn firmware(global: &GlobalArgs) -> Result<Option<Firmware>, Failure> {
    // Other architectures have no choice.
    let native_4k = global.qemu.qemu_native_4k && super::arch(global) == "x86_64";
    match global.qemu.qemu_firmware {
        None | Some(FirmwareArg::Default) if native_4k => Ok(Some(Firmware::Uefi)),
        None | Some(FirmwareArg::Default) => Ok(None),
        Some(FirmwareArg::Bios) if native_4k => Err(Failure::usage(anyhow!(
            "--qemu-native-4k needs UEFI: BIOS boots from sectors of 512 bytes only; leave out --qemu-firmware bios"
        ))),
        Some(FirmwareArg::Bios) => Ok(Some(Firmware::Bios)),
        Some(FirmwareArg::Uefi) => Ok(Some(Firmware::Uefi)),
        Some(FirmwareArg::UefiSecure) => Ok(Some(Firmware::UefiSecure)),
    }
}
