//! UEFI firmware: which there is on this host, and what a machine needs for it.
//!
//! Distributions describe their firmware in files that QEMU defines (`docs/interop/firmware.json`), as libvirt wants them too.
//! Where there are none, firmware is looked for where distributions are known to put it.

mod descriptor;
mod find;
mod places;

use std::path::{Path, PathBuf};

use kolea_model::{Firmware, MachineNeeds};
use serde::Deserialize;

use self::find::Search;
use crate::QemuError;
use crate::arch::Arch;
use crate::cache::Cache;
use crate::machine_type;

/// How what is in a flash memory is stored in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FlashFormat {
    /// As it is.
    Raw,
    /// As QCOW2.
    Qcow2,
}

impl FlashFormat {
    /// QEMU's name for it.
    pub fn name(self) -> &'static str {
        match self {
            FlashFormat::Raw => "raw",
            FlashFormat::Qcow2 => "qcow2",
        }
    }
}

/// What is in a flash memory.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Flash {
    /// The file.
    #[serde(rename = "filename")]
    pub path: PathBuf,
    /// How it is stored.
    pub format: FlashFormat,
}

/// A UEFI firmware.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uefi {
    /// Its code, which all machines read; none if that is in one image with the variables.
    pub code: Option<Flash>,
    /// Its variables: what those of every machine begin with, or a machine's own.
    pub vars: Flash,
    /// Whether it has to run in system management mode, out of the reach of the guest's kernel.
    pub smm: bool,
}

/// What machines of a run can be started by.
#[derive(Debug)]
pub struct Firmwares {
    /// The versioned machine types: with QEMU's own firmware, and with UEFI.
    machine_types: [String; 2],
    /// UEFI without and with Secure Boot; or why there is none.
    uefi: [Result<Uefi, String>; 2],
}

impl Firmwares {
    /// Finds them. That there is no UEFI is an error only when a machine is to have it.
    pub async fn find(qemu: &Path, arch: Arch, cache: &Cache) -> Result<Firmwares, QemuError> {
        let mut machine_types = [String::new(), String::new()];
        for (name, firmware) in machine_types
            .iter_mut()
            .zip([Firmware::Bios, Firmware::Uefi])
        {
            *name = machine_type::resolve(qemu, arch, firmware, cache).await?;
        }
        let search = Search::new(arch, &machine_types[1]);
        Ok(Firmwares {
            uefi: [false, true].map(|secure| search.find(secure)),
            machine_types,
        })
    }

    /// The versioned machine type that goes with a firmware.
    pub fn machine_type(&self, firmware: Firmware) -> &str {
        &self.machine_types[usize::from(firmware != Firmware::Bios)]
    }

    /// The files of a firmware; none for the one that QEMU brings along. The error is for people.
    pub fn files(&self, firmware: Firmware) -> Result<Option<&Uefi>, QemuError> {
        let found = match firmware {
            Firmware::Bios => return Ok(None),
            Firmware::Uefi => &self.uefi[0],
            Firmware::UefiSecure => &self.uefi[1],
        };
        match found {
            Ok(uefi) => Ok(Some(uefi)),
            Err(why) => Err(QemuError::Firmware(why.clone())),
        }
    }
}

/// The firmware that a test asks for and this host has not, though others have it: its name, and a line for people. `arch` is the
/// machines' architecture, by its RPM name. Nothing is started for it.
pub fn lacking(needs: &MachineNeeds, arch: &str) -> Option<(&'static str, String)> {
    let arch = Arch::from_name(arch).ok()?;
    // A run finds out about its own firmware when it starts.
    let firmware = arch.firmware(Some(needs.wanted_firmware()?)).ok()?;
    if firmware == Firmware::Bios {
        return None;
    }
    let family = match arch.machine_type(Firmware::Uefi) {
        "q35" => "pc-q35-".to_owned(),
        name => format!("{name}-"),
    };
    let search = Search::new(arch, &family);
    let why = search.find(firmware == Firmware::UefiSecure).err()?;
    Some((firmware.name(), why))
}
