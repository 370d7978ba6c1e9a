//! What differs between the architectures.

use kolea_model::Firmware;

use crate::QemuError;
use crate::command_line::Accelerator;

/// An architecture that machines can have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Arch {
    /// 64-bit PC.
    X86_64,
    /// 64-bit Arm.
    Aarch64,
    /// 64-bit POWER, little-endian.
    Ppc64le,
    /// IBM Z.
    S390x,
}

/// Whether there are machines of that architecture, by its RPM name.
pub fn check_arch(name: &str) -> Result<(), QemuError> {
    Arch::from_name(name).map(drop)
}

/// The RPM name of the host's architecture.
pub fn host_arch() -> &'static str {
    match std::env::consts::ARCH {
        "powerpc64" if cfg!(target_endian = "little") => "ppc64le",
        name => name,
    }
}

impl Arch {
    const ALL: [Arch; 4] = [Arch::X86_64, Arch::Aarch64, Arch::Ppc64le, Arch::S390x];

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

    /// Its RPM name.
    pub fn name(self) -> &'static str {
        match self {
            Arch::X86_64 => "x86_64",
            Arch::Aarch64 => "aarch64",
            Arch::Ppc64le => "ppc64le",
            Arch::S390x => "s390x",
        }
    }

    /// Whether the host is one, so that KVM could run its guests.
    pub fn is_host(self) -> bool {
        self.name() == host_arch()
    }

    /// QEMU's program for it.
    pub fn program(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86_64",
            Arch::Aarch64 => "qemu-system-aarch64",
            Arch::Ppc64le => "qemu-system-ppc64",
            Arch::S390x => "qemu-system-s390x",
        }
    }

    /// The kernel argument for the console that QEMU writes to a file (kola's).
    pub fn console(self) -> &'static str {
        match self {
            Arch::X86_64 => "console=ttyS0,115200n8",
            Arch::Aarch64 => "console=ttyAMA0",
            Arch::Ppc64le => "console=hvc0",
            Arch::S390x => "console=ttysclp0",
        }
    }

    /// Debian's package of that program.
    pub fn package(self) -> &'static str {
        match self {
            Arch::X86_64 => "qemu-system-x86",
            Arch::Aarch64 => "qemu-system-arm",
            Arch::Ppc64le => "qemu-system-ppc",
            Arch::S390x => "qemu-system-s390x",
        }
    }

    /// The machine type (kola's), by the name that stands for its newest version.
    pub fn machine_type(self, firmware: Firmware) -> &'static str {
        match (self, firmware) {
            (Arch::X86_64, Firmware::Bios) => "pc",
            (Arch::X86_64, Firmware::Uefi | Firmware::UefiSecure) => "q35",
            (Arch::Aarch64, _) => "virt",
            (Arch::Ppc64le, _) => "pseries",
            (Arch::S390x, _) => "s390-ccw-virtio",
        }
    }

    /// The options that follow the machine type (kola's).
    pub fn machine_options(self, accelerator: Accelerator) -> &'static str {
        match (self, accelerator) {
            (Arch::X86_64 | Arch::S390x, _) => "",
            // The newest interrupt controller that the accelerator has; under KVM it has to be the host's.
            (Arch::Aarch64, _) => ",gic-version=max",
            // Not KVM's other implementation, which interprets the guest's privileged instructions.
            (Arch::Ppc64le, Accelerator::Kvm) => ",kvm-type=HV,ic-mode=xics",
            (Arch::Ppc64le, Accelerator::Tcg) => ",ic-mode=xics",
        }
    }

    /// The CPU model that is emulated; QEMU's own default if none.
    pub fn emulated_cpu(self) -> Option<&'static str> {
        match self {
            Arch::X86_64 => Some("Nehalem"), // kola's
            // Without it a machine has a 32-bit CPU. The architecture's pointer authentication costs half of the time when
            // emulated.
            Arch::Aarch64 => Some("max,pauth-impdef=on"),
            Arch::Ppc64le | Arch::S390x => None,
        }
    }

    /// How virtio devices are attached; the end of their names.
    pub fn bus(self) -> &'static str {
        match self {
            Arch::X86_64 | Arch::Aarch64 | Arch::Ppc64le => "pci",
            Arch::S390x => "ccw",
        }
    }

    /// QEMU's name of a virtio device: of `blk`, `virtio-blk-pci` or `virtio-blk-ccw`.
    pub fn virtio(self, device: &str) -> String {
        format!("virtio-{device}-{}", self.bus())
    }

    /// Whether guests can read QEMU's firmware configuration device. Where they can't, Ignition looks for a disk instead.
    pub fn has_fw_cfg(self) -> bool {
        matches!(self, Arch::X86_64 | Arch::Aarch64)
    }

    /// Whether its firmware has tables for the guest's system management (SMBIOS).
    pub fn has_smbios(self) -> bool {
        matches!(self, Arch::X86_64 | Arch::Aarch64)
    }

    /// QEMU's name of the TPM 2.0 that its machines can have (kola's choice); none if they can't.
    pub fn tpm_device(self) -> Option<&'static str> {
        match self {
            Arch::X86_64 => Some("tpm-tis"),
            Arch::Aarch64 => Some("tpm-tis-device"),
            Arch::Ppc64le => Some("tpm-spapr"),
            Arch::S390x => None,
        }
    }

    /// Whether the guest's kernel can be told when a machine is restored (`vmgenid`, which ACPI describes).
    pub fn has_vmgenid(self) -> bool {
        self == Arch::X86_64
    }

    /// Whether QEMU can give its machines several NUMA nodes.
    pub fn has_numa(self) -> bool {
        self != Arch::S390x
    }

    /// Memory of a machine, in MiB, given what the user says that all have, and what its test needs at least. As with kola, a
    /// test gets twice as much as it needs on POWER, where pages have 64 KiB, unless that is more than 4 GiB.
    pub fn memory_mib(self, of_all: Option<u64>, needed: Option<u64>) -> u64 {
        let needed = match (self, needed) {
            (Arch::Ppc64le, Some(mib @ ..=4096)) => Some(2 * mib),
            (_, needed) => needed,
        };
        let mib = of_all.or(needed).unwrap_or(match self {
            Arch::X86_64 => 1024,
            Arch::Aarch64 | Arch::Ppc64le | Arch::S390x => 2048,
        });
        match self {
            // It comes in blocks of 256 MiB, and each of two NUMA nodes has one half of them.
            Arch::Ppc64le => mib.next_multiple_of(512),
            Arch::X86_64 | Arch::Aarch64 | Arch::S390x => mib,
        }
    }

    /// The firmware of a machine, given what the user asked for. `Bios` is that which QEMU has for the machine.
    pub fn firmware(self, asked: Option<Firmware>) -> Result<Firmware, QemuError> {
        match (self, asked) {
            (Arch::X86_64, asked) => Ok(asked.unwrap_or(Firmware::Bios)),
            (Arch::Aarch64, None | Some(Firmware::Uefi)) => Ok(Firmware::Uefi),
            (Arch::Aarch64, Some(Firmware::UefiSecure)) => Ok(Firmware::UefiSecure),
            (Arch::Aarch64, Some(Firmware::Bios)) => Err(QemuError::Firmware(
                "aarch64 has no BIOS; use UEFI".to_owned(),
            )),
            (Arch::Ppc64le | Arch::S390x, None | Some(Firmware::Bios)) => Ok(Firmware::Bios),
            (Arch::Ppc64le | Arch::S390x, Some(Firmware::Uefi | Firmware::UefiSecure)) => {
                Err(QemuError::Firmware(format!(
                    "{} has no UEFI; leave out --qemu-firmware",
                    self.name()
                )))
            }
        }
    }

    /// The name that the removable-media boot loader has in an EFI system partition's directory, as FAT stores it.
    pub fn efi_loader(self) -> Option<&'static [u8; 11]> {
        match self {
            Arch::X86_64 => Some(b"BOOTX64 EFI"),
            Arch::Aarch64 => Some(b"BOOTAA64EFI"),
            Arch::Ppc64le | Arch::S390x => None,
        }
    }

    /// All architectures but this one.
    pub fn others(self) -> impl Iterator<Item = Arch> {
        Arch::ALL.into_iter().filter(move |arch| *arch != self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_kolas() {
        let without = Arch::ALL.map(|arch| arch.memory_mib(None, None));
        assert_eq!(without, [1024, 2048, 2048, 2048]);
        let needed = |mib| Arch::ALL.map(|arch| arch.memory_mib(None, Some(mib)));
        assert_eq!(needed(3072), [3072, 3072, 6144, 3072]);
        assert_eq!(needed(4096), [4096, 4096, 8192, 4096]);
        assert_eq!(needed(5120), [5120; 4]);
        // What the user says is not doubled.
        let said = Arch::ALL.map(|arch| arch.memory_mib(Some(2048), Some(4096)));
        assert_eq!(said, [2048; 4]);
        // A size that POWER can't have.
        assert_eq!(needed(700), [700, 700, 1536, 700]);
        assert_eq!(Arch::Ppc64le.memory_mib(Some(1000), None), 1024);
    }

    #[test]
    fn firmware_that_an_architecture_has_not_is_refused() {
        let firmware = |arch: Arch, asked| arch.firmware(asked).map_err(|error| error.to_string());
        for arch in [Arch::Ppc64le, Arch::S390x] {
            assert_eq!(firmware(arch, None), Ok(Firmware::Bios));
            let refusal = firmware(arch, Some(Firmware::Uefi)).unwrap_err();
            assert!(
                refusal.ends_with(" has no UEFI; leave out --qemu-firmware"),
                "{refusal}"
            );
        }
        assert_eq!(firmware(Arch::Aarch64, None), Ok(Firmware::Uefi));
        assert_eq!(firmware(Arch::X86_64, None), Ok(Firmware::Bios));
    }

    #[test]
    fn the_host_has_an_rpm_name() {
        assert_eq!(
            Arch::ALL.into_iter().filter(|arch| arch.is_host()).count(),
            usize::from(check_arch(host_arch()).is_ok())
        );
        let refusal = check_arch("powerpc64").unwrap_err().to_string();
        assert_eq!(
            refusal,
            "cannot run images for powerpc64: this version knows x86_64, aarch64, ppc64le, s390x"
        );
    }
}
