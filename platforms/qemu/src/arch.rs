//! What differs between the architectures.

use std::path::{Path, PathBuf};

use kolea_model::Firmware;

use crate::QemuError;

/// An architecture that machines can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit PC.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
}

/// Whether there are machines of that architecture, by its RPM name.
pub fn check_arch(name: &str) -> Result<(), QemuError> {
    Arch::from_name(name).map(drop)
}

/// The code of a UEFI firmware, and the template of its variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirmwareFiles {
    /// Opened read-only by every machine.
    pub code: PathBuf,
    /// Copied for every machine.
    pub vars: PathBuf,
}

/// Where distributions put OVMF (x86_64): Debian and Ubuntu, Fedora, openSUSE, Arch.
const OVMF: [(&str, &str); 4] = [
    (
        "/usr/share/OVMF/OVMF_CODE_4M.fd",
        "/usr/share/OVMF/OVMF_VARS_4M.fd",
    ),
    (
        "/usr/share/edk2/ovmf/OVMF_CODE.fd",
        "/usr/share/edk2/ovmf/OVMF_VARS.fd",
    ),
    (
        "/usr/share/qemu/ovmf-x86_64-code.bin",
        "/usr/share/qemu/ovmf-x86_64-vars.bin",
    ),
    (
        "/usr/share/edk2/x64/OVMF_CODE.4m.fd",
        "/usr/share/edk2/x64/OVMF_VARS.4m.fd",
    ),
];

/// Where distributions put AAVMF (aarch64): Debian and Ubuntu, Fedora, openSUSE.
const AAVMF: [(&str, &str); 3] = [
    (
        "/usr/share/AAVMF/AAVMF_CODE.fd",
        "/usr/share/AAVMF/AAVMF_VARS.fd",
    ),
    (
        "/usr/share/edk2/aarch64/QEMU_EFI-silent-pflash.raw",
        "/usr/share/edk2/aarch64/vars-template-pflash.raw",
    ),
    (
        "/usr/share/qemu/aavmf-aarch64-code.bin",
        "/usr/share/qemu/aavmf-aarch64-vars.bin",
    ),
];

impl Arch {
    const ALL: [Arch; 2] = [Arch::X86_64, Arch::Aarch64];

    /// The architecture of that RPM name.
    pub fn from_name(name: &str) -> Result<Arch, QemuError> {
        Arch::ALL
            .into_iter()
            .find(|arch| arch.name() == name)
            .ok_or_else(|| QemuError::Arch {
                arch: name.to_owned(),
                known: Arch::ALL.map(Arch::name).join(", "),
            })
    }

    /// Its RPM name, which is also that of Rust and of QEMU.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
        }
    }

    /// Whether the host is one, so that KVM could run its guests.
    pub fn is_host(self) -> bool {
        self.name() == std::env::consts::ARCH
    }

    /// QEMU's program for it.
    pub fn program(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Aarch64 => "qemu-system-aarch64",
        }
    }

    /// Debian's package of that program.
    pub fn package(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86",
            Arch::Aarch64 => "qemu-system-arm",
        }
    }

    /// Memory of a machine whose test asks for none, in MiB (kola's defaults).
    pub fn default_memory_mib(self) -> u64 {
        match self {
            Arch::X86_64 => 1024,
            Arch::Aarch64 => 2048,
        }
    }

    /// The firmware of a machine, given what the user asked for.
    pub fn firmware(self, asked: Option<Firmware>) -> Result<Firmware, QemuError> {
        match (self, asked) {
            (Arch::X86_64, asked) => Ok(asked.unwrap_or(Firmware::Bios)),
            (Arch::Aarch64, None | Some(Firmware::Uefi)) => Ok(Firmware::Uefi),
            (Arch::Aarch64, Some(Firmware::UefiSecure)) => Err(QemuError::Firmware(
                "aarch64 has no Secure Boot here; use uefi".to_owned(),
            )),
            (Arch::Aarch64, Some(Firmware::Bios)) => Err(QemuError::Firmware(
                "aarch64 has no BIOS; use UEFI".to_owned(),
            )),
        }
    }

    /// Finds the UEFI firmware on this host.
    pub fn uefi(self) -> Result<FirmwareFiles, QemuError> {
        let (places, package): (&[(&str, &str)], &str) = match self {
            Arch::X86_64 => (&OVMF, "ovmf"),
            Arch::Aarch64 => (&AAVMF, "qemu-efi-aarch64"),
        };
        places
            .iter()
            .find(|(code, vars)| Path::new(code).is_file() && Path::new(vars).is_file())
            .map(|(code, vars)| FirmwareFiles {
                code: PathBuf::from(code),
                vars: PathBuf::from(vars),
            })
            .ok_or_else(|| {
                QemuError::Firmware(format!(
                    "no UEFI firmware for {} on this host; install the package {package}",
                    self.name()
                ))
            })
    }

    /// The names that the removable-media boot loader has in an EFI system partition's directory, as FAT stores them.
    pub fn efi_loader(self) -> &'static [u8; 11] {
        match self {
            Arch::X86_64 => b"BOOTX64 EFI",
            Arch::Aarch64 => b"BOOTAA64EFI",
        }
    }

    /// All architectures but this one.
    pub fn others(self) -> impl Iterator<Item = Arch> {
        Arch::ALL.into_iter().filter(move |arch| *arch != self)
    }
}
