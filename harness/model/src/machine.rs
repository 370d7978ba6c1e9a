//! What a machine is made of.

use serde::{Deserialize, Serialize};

/// What a test asks of its machine; whatever it leaves open, the platform's defaults decide.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineNeeds {
    /// Least memory, in MiB (`minMemory`).
    pub memory_mib: Option<u64>,
    /// Least size of the primary disk, in GiB (`minDisk`).
    pub disk_gib: Option<u64>,
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
    /// The host name that DHCP offers to the guest.
    pub hostname: String,
}
