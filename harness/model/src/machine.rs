//! What a machine is made of.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::{DiskSpec, ServerNeeds};

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
    /// The firmware, if it is not left to the run (compiled-in tests).
    #[serde(default)]
    pub firmware: Option<Firmware>,
    /// Whether it is on a private network with the test's other machines (compiled-in tests).
    #[serde(default)]
    pub private_network: bool,
    /// Ports of the guest that are to be reached from the host besides that of SSH (compiled-in tests).
    #[serde(default)]
    pub host_forwards: Vec<HostForward>,
    /// Whether nobody logs in (compiled-in tests): it gets no config, and the test begins as soon as it was started, with nothing
    /// but the console to go by.
    #[serde(default)]
    pub console_only: bool,
    /// What is on its own HTTP server, if it is to have one (directory `kolea-serve`).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerNeeds>,
    /// Whether the disk image to be installed is on that server (compiled-in tests).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub metal: bool,
    /// NetworkManager keyfiles by name, which are embedded in the live ISO that it boots from (compiled-in tests).
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network_keyfiles: BTreeMap<String, String>,
    /// Whether the guest may reach the Internet and the host (tag `needs-internet`).
    pub internet: bool,
    /// Whether the base checks and the console rules are left out (tag `skip-base-checks`).
    pub skip_base_checks: bool,
}

impl MachineNeeds {
    /// The firmware that the test asks for, by its tag `secure-boot` or as a compiled-in one; none if it leaves that to the run.
    pub fn wanted_firmware(&self) -> Option<Firmware> {
        let secure = self.secure_boot.then_some(Firmware::UefiSecure);
        secure.or(self.firmware)
    }
}

/// A TCP port of the guest that can be reached on the host's 127.0.0.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostForward {
    /// The guest's port.
    pub guest: u16,
    /// The host's port; one that is free if none. A port that is named is no other test's as long as this one runs.
    pub host: Option<u16>,
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
    /// OVMF with Secure Boot, which only starts what Microsoft's keys or the distribution's have signed.
    UefiSecure,
}

impl Firmware {
    /// Its name, as `--qemu-firmware` takes it.
    pub fn name(self) -> &'static str {
        match self {
            Firmware::Bios => "bios",
            Firmware::Uefi => "uefi",
            Firmware::UefiSecure => "uefi-secure",
        }
    }
}

/// A directory of the host that a guest may read.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct HostMount {
    /// The host's directory.
    pub host: PathBuf,
    /// Where the guest has it: an absolute path.
    pub guest: String,
    /// Whether the guest may write to it. No test can ask for that, `kolea qemuexec --bind-rw` can.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub writable: bool,
}

/// `HOST,GUEST`, as kola writes it. The guest's path begins at the last comma that a slash follows, so that the host's may have
/// commas.
impl FromStr for HostMount {
    type Err = String;

    fn from_str(text: &str) -> Result<HostMount, String> {
        let Some((host, below)) = text.rsplit_once(",/") else {
            return Err(format!(
                "{text:?} is not HOST,GUEST: a directory, a comma, and an absolute path in the guest, as in /srv/data,/mnt/data"
            ));
        };
        if host.is_empty() {
            return Err(format!("{text:?} names no directory of the host"));
        }
        if text.contains(char::is_control) {
            return Err(format!("{text:?} has control characters"));
        }
        if below.trim_matches('/').is_empty() {
            return Err("\"/\" is no place in the guest: name a directory below it".to_owned());
        }
        if below.split('/').any(|part| part == "." || part == "..") {
            return Err(format!(
                "\"/{below}\" has `.` or `..` in it: write it without"
            ));
        }
        Ok(HostMount {
            host: PathBuf::from(host),
            guest: format!("/{below}"),
            writable: false,
        })
    }
}

/// What a machine boots from instead of its disk image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum BootFrom {
    /// A live ISO, as a CD.
    Iso,
    /// A live ISO, as a disk.
    IsoAsDisk,
    /// The network: a live ISO's kernel and initramfs, which fetches the root file system.
    Pxe,
    /// The network, with the root file system as a second initramfs.
    PxeRootfsAppended,
    /// A minimal ISO that is made of the live one, as a CD; its initramfs fetches the root file system.
    MinimalIso,
}

impl BootFrom {
    /// All of them.
    pub const ALL: [BootFrom; 5] = [
        BootFrom::Iso,
        BootFrom::IsoAsDisk,
        BootFrom::Pxe,
        BootFrom::PxeRootfsAppended,
        BootFrom::MinimalIso,
    ];

    /// Its name, as the metadata have it (`bootFrom`).
    pub fn name(self) -> &'static str {
        match self {
            BootFrom::Iso => "iso",
            BootFrom::IsoAsDisk => "iso-as-disk",
            BootFrom::Pxe => "pxe",
            BootFrom::PxeRootfsAppended => "pxe-rootfs-appended",
            BootFrom::MinimalIso => "minimal-iso",
        }
    }

    /// Whether it is the network.
    pub fn is_pxe(self) -> bool {
        matches!(self, BootFrom::Pxe | BootFrom::PxeRootfsAppended)
    }

    /// Whether the root file system comes from the machine's server.
    pub fn is_served(self) -> bool {
        self.is_pxe() || self == BootFrom::MinimalIso
    }
}

/// How a machine reaches a CD.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CdBus {
    /// A SCSI drive on a virtio controller.
    #[default]
    Scsi,
    /// An IDE drive, or a SATA one where the board has no IDE.
    Ide,
    /// A virtio disk that cannot be written to.
    Virtio,
}

/// A machine with every choice made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
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
    /// What the primary disk is like; its size is in `disk_gib`.
    #[serde(default)]
    pub primary_disk: DiskSpec,
    /// Disks besides the primary one, in the order in which the guest finds them.
    #[serde(default)]
    pub disks: Vec<DiskSpec>,
    /// Number of network interfaces besides the primary one, each with a network of its own.
    #[serde(default)]
    pub nics: u32,
    /// The primary interface's network, if not QEMU's own 10.0.2.0/24 (`net=` of QEMU's user network).
    #[serde(default)]
    pub usernet: Option<String>,
    /// Whether it is on a private network with other machines of its group.
    #[serde(default)]
    pub private_network: bool,
    /// Ports of the guest that can be reached from the host besides that of SSH.
    #[serde(default)]
    pub host_forwards: Vec<HostForward>,
    /// What is on its own HTTP server, if it has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub server: Option<ServerNeeds>,
    /// What it boots from, if not from the disk image. Such a machine has no primary disk.
    #[serde(default)]
    pub boot_from: Option<BootFrom>,
    /// Whether it gets no config, so that nobody can log in.
    #[serde(default)]
    pub console_only: bool,
    /// NetworkManager keyfiles by name, which are embedded in the live ISO.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub network_keyfiles: BTreeMap<String, String>,
    /// Kernel arguments for every boot.
    #[serde(default)]
    pub kernel_args: Option<String>,
    /// Kernel arguments for the first boot.
    #[serde(default)]
    pub firstboot_kernel_args: Option<String>,
    /// Whether it has a TPM 2.0.
    #[serde(default)]
    pub tpm: bool,
    /// The host name that DHCP offers to the guest.
    pub hostname: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mount_is_a_directory_a_comma_and_an_absolute_path() {
        let mount = |text: &str| text.parse::<HostMount>();
        for (text, host, guest) in [
            ("/srv/data,/mnt/data", "/srv/data", "/mnt/data"),
            ("relative,/mnt", "relative", "/mnt"),
            ("/a, b,/mnt/c d", "/a, b", "/mnt/c d"),
        ] {
            let parsed = mount(text).unwrap();
            assert_eq!((parsed.host, &*parsed.guest), (host.into(), guest));
        }
        for wrong in [
            "",
            "/srv",
            "/srv,mnt",
            ",/mnt",
            "/srv,/",
            "/srv,/a/../b",
            "/srv,/a\n",
        ] {
            assert!(mount(wrong).is_err(), "{wrong:?}");
        }
    }
}
