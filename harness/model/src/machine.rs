//! What a machine is made of.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::DiskSpec;

/// What a test asks of its machine; whatever it leaves open, the platform's defaults decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineNeeds {
    /// Least memory, in MiB (`minMemory`).
    pub memory_mib: Option<u64>,
    /// Least size of the primary disk, in GiB (`minDisk`).
    pub disk_gib: Option<u64>,
    /// What the primary disk is like (`primaryDisk`); its size may be left to the image.
    pub primary_disk: Option<DiskSpec>,
    /// Disks besides the primary one (`additionalDisks`).
    pub additional_disks: Vec<DiskSpec>,
    /// Number of network interfaces besides the primary one (`additionalNics`).
    pub additional_nics: u32,
    /// Kernel arguments for every boot (`appendKernelArgs`).
    pub kernel_args: Option<String>,
    /// Kernel arguments for the first boot (`appendFirstbootKernelArgs`).
    pub firstboot_kernel_args: Option<String>,
    /// Whether it has two NUMA nodes (`numaNodes`).
    pub numa: bool,
    /// Directories of the host that the guest may read (`bindMountHostRO`).
    pub mounts: Vec<HostMount>,
    /// What it boots from, if not from the disk image (`bootFrom`).
    pub boot_from: Option<BootFrom>,
    /// A cloud's instance type (`instanceType`); no platform that is built in has any.
    pub instance_type: Option<String>,
    /// Whether its firmware enforces Secure Boot (tag `secure-boot`).
    pub secure_boot: bool,
    /// Whether the guest may reach the Internet and the host (tag `needs-internet`).
    pub internet: bool,
    /// Whether the base checks and the console rules are left out (tag `skip-base-checks`).
    pub skip_base_checks: bool,
}

/// The firmware that starts the machine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Firmware {
    /// SeaBIOS, QEMU's default on x86_64.
    #[default]
    Bios,
    /// OVMF or AAVMF without Secure Boot.
    Uefi,
}

/// A directory of the host that a guest may read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostMount {
    /// The host's directory.
    pub host: PathBuf,
    /// Where the guest has it: an absolute path.
    pub guest: String,
}

/// What a machine boots from instead of its disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootFrom {
    /// A live ISO, as a CD.
    Iso,
    /// A live ISO, as a disk.
    IsoAsDisk,
}

/// A machine with every choice made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSpec {
    /// Memory, in MiB.
    pub memory_mib: u64,
    /// Number of virtual CPUs.
    pub cpus: u32,
    /// Size that the primary disk is enlarged to, in GiB; the image's own size if none.
    pub disk_gib: Option<u64>,
    /// Firmware.
    pub firmware: Firmware,
    /// Whether the guest may reach the Internet and the host; `restrict=on` otherwise.
    pub internet: bool,
    /// Whether it has two NUMA nodes.
    #[serde(default)]
    pub numa: bool,
    /// Directories of the host that the guest may read.
    #[serde(default)]
    pub mounts: Vec<HostMount>,
    /// The host name that DHCP offers to the guest.
    pub hostname: String,
}
