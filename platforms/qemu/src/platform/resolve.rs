//! What a machine is, by its test and by the options.

use std::path::PathBuf;

use kolea_machine::Platform;
use kolea_model::{
    BootFrom, DiskSpec, HostMount, MachineNeeds, MachineSpec, Sectors, Served, ServerNeeds,
};

use super::QemuPlatform;
use crate::{boot, drives};

/// Virtual CPUs of a machine (kola's default).
pub const CPUS: u32 = 1;
/// NUMA nodes of a machine that is to have several, each with a virtual CPU (kola's too).
const NODES: u32 = 2;

impl QemuPlatform {
    /// What a test's machine is, given what the test asks for and what the user asks for all machines.
    pub(super) fn spec(&self, needs: &MachineNeeds) -> MachineSpec {
        let boot_from = needs.boot_from.or(self.boot_from);
        let by_network = boot_from.is_some_and(BootFrom::is_pxe);
        let mut server = needs.server.clone();
        if boot_from.is_some_and(BootFrom::is_served) {
            // For its root file system, and over the network its config.
            server.get_or_insert_default();
        }
        if let Some(image) = self.metal(needs).filter(|_| needs.metal) {
            let served = &mut server.get_or_insert_default().contents;
            served.insert(ServerNeeds::METAL_PATH.to_owned(), Served::File(image));
        }
        let of_all = match by_network {
            true => boot::joined(self.kernel_args.as_deref(), self.pxe_kernel_args.as_deref()),
            false => self.kernel_args.clone(),
        };
        MachineSpec {
            memory_mib: self
                .common
                .arch
                .memory_mib(self.memory_mib, needs.memory_mib),
            cpus: if needs.numa { NODES } else { CPUS },
            disk_gib: disk_gib(needs),
            firmware: needs.wanted_firmware().unwrap_or(self.firmware),
            internet: needs.internet,
            numa: needs.numa,
            mounts: all_mounts(&self.mounts, &needs.mounts),
            primary_disk: drives::primary_disk(needs.primary_disk.as_ref(), &self.primary_disk),
            disks: needs.additional_disks.clone(),
            nics: needs.additional_nics,
            // Configs have the server's address in them.
            usernet: self.usernet.clone().filter(|_| server.is_none()),
            private_network: needs.private_network,
            host_forwards: needs.host_forwards.clone(),
            server,
            boot_from,
            console_only: needs.console_only,
            network_keyfiles: needs.network_keyfiles.clone(),
            kernel_args: boot::joined(of_all.as_deref(), needs.kernel_args.as_deref()),
            firstboot_kernel_args: boot::joined(
                self.firstboot_kernel_args.as_deref(),
                needs.firstboot_kernel_args.as_deref(),
            ),
            tpm: self.tpm,
            hostname: self.hostname(0),
        }
    }
}

impl QemuPlatform {
    /// The disk image that such a test's live system installs from a server: one for the sectors of the disk that it installs to.
    pub(super) fn metal(&self, needs: &MachineNeeds) -> Option<PathBuf> {
        let target = needs.additional_disks.first();
        match target.is_some_and(|disk| disk.sectors == Sectors::Native4k) {
            true => self.metal_4k.clone(),
            false => self.metal.clone(),
        }
    }
}

/// The mounts with the absolute paths of the host's directories.
pub fn absolute(mounts: &[HostMount]) -> Vec<HostMount> {
    let absolute = |mount: &HostMount| HostMount {
        host: std::path::absolute(&mount.host).unwrap_or_else(|_| mount.host.clone()),
        ..mount.clone()
    };
    mounts.iter().map(absolute).collect()
}

/// The mounts of all machines and those of one. What is in both is mounted once.
fn all_mounts(common: &[HostMount], own: &[HostMount]) -> Vec<HostMount> {
    let mut all = common.to_vec();
    for mount in absolute(own) {
        if !all.contains(&mount) {
            all.push(mount);
        }
    }
    all
}

/// All disks of a machine.
pub fn disks(spec: &MachineSpec) -> impl Iterator<Item = &DiskSpec> {
    spec.disks.iter().chain([&spec.primary_disk])
}

/// What a test needs of its primary disk, in GiB: the larger of `minDisk` and the size in `primaryDisk`.
fn disk_gib(needs: &MachineNeeds) -> Option<u64> {
    let primary = needs.primary_disk.as_ref().and_then(|disk| disk.size_gib);
    needs.disk_gib.max(primary)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_larger_size_wins() {
        let needs = |disk_gib, size_gib| MachineNeeds {
            disk_gib,
            primary_disk: Some(DiskSpec {
                size_gib,
                ..Default::default()
            }),
            ..MachineNeeds::default()
        };
        assert_eq!(disk_gib(&MachineNeeds::default()), None);
        assert_eq!(disk_gib(&needs(None, None)), None);
        assert_eq!(disk_gib(&needs(None, Some(7))), Some(7));
        assert_eq!(disk_gib(&needs(Some(8), Some(7))), Some(8));
        assert_eq!(disk_gib(&needs(Some(6), Some(7))), Some(7));
    }

    #[test]
    fn a_directory_for_all_and_for_one_is_mounted_once() {
        let mount = |host: &str, guest: &str| HostMount {
            host: host.into(),
            guest: guest.to_owned(),
            writable: false,
        };
        let common = [mount("/a", "/srv/a")];
        let own = [
            mount("/a", "/srv/a"),
            mount("/b", "/srv/b"),
            mount("/b", "/srv/b"),
        ];
        let all = all_mounts(&common, &own);
        assert_eq!(all, [mount("/a", "/srv/a"), mount("/b", "/srv/b")]);
        let here = absolute(&[mount("src", "/srv")]);
        assert_eq!(here[0].host, std::env::current_dir().unwrap().join("src"));
    }
}
