//! Which machines can be templates.

use kolea_model::{DiskChannel, DiskSpec, MachineSpec};

use super::resolve::disks;

/// Why such a machine of that QEMU can't be frozen and cloned, for people; none if it can.
pub fn why_not(spec: &MachineSpec, qemu_version: &str) -> Option<String> {
    match unfreezable(spec) {
        Some(why) => Some(why.to_owned()),
        None => old_qemu(qemu_version),
    }
}

/// The first QEMU that saves a machine to a file and maps a template's memory as clones need it (`file:` migration,
/// `rom=` of memory-backend-file).
const CLONING_QEMU: (u32, u32) = (8, 2);

/// Why machines of a QEMU can't be cloned. All that a machine is made of can be saved: virtio devices, the boards' own
/// and flash memory under both accelerators; KVM on Arm saves its interrupt controller since Linux 4.8 (without an ITS)
/// and 4.15 (with one).
fn old_qemu(version: &str) -> Option<String> {
    let mut numbers = version.split(['.', ' ']).map(str::parse);
    let (Some(Ok(major)), Some(Ok(minor))) = (numbers.next(), numbers.next()) else {
        return None; // built from somebody's tree: it will say so itself
    };
    ((major, minor) < CLONING_QEMU).then(|| {
        let (needed, least) = CLONING_QEMU;
        format!("QEMU {version} cannot clone machines; {needed}.{least} and newer can")
    })
}

/// What of such a machine can't be frozen, whatever the QEMU.
fn unfreezable(spec: &MachineSpec) -> Option<&'static str> {
    let nvme = |disk: &DiskSpec| disk.channel == DiskChannel::Nvme;
    if !spec.mounts.is_empty() {
        // virtiofsd's files are open outside of QEMU, and QEMU's own 9p refuses to be saved while it is mounted.
        Some("a machine with directories of the host in it cannot be frozen")
    } else if disks(spec).any(|disk| disk.multipath) {
        // What serves it has the file open, outside of QEMU.
        Some("a machine with a disk on several paths cannot be frozen")
    } else if disks(spec).any(nvme) {
        Some("a machine with an NVMe disk cannot be frozen (QEMU cannot save such disks)")
    } else if spec.console_only {
        Some("nobody can log in to the machine to prepare it for being frozen")
    } else if spec.server.is_some() {
        // By the time it is frozen it has fetched its configs, and knows its own server's certificate authority.
        Some("a machine that is served configs and files asks for them itself, which clones do not")
    } else if spec.private_network {
        Some(
            "each machine on a private network has an address of its own, which clones cannot be given",
        )
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use kolea_model::ServerNeeds;

    use super::*;

    #[test]
    fn a_machine_with_a_server_boots() {
        let spec = MachineSpec {
            server: Some(ServerNeeds::default()),
            ..MachineSpec::default()
        };
        let why = why_not(&spec, "10.0.2").unwrap();
        assert!(why.contains("is served configs"), "{why}");
    }

    #[test]
    fn an_old_qemu_cannot_clone() {
        assert_eq!(old_qemu("10.0.2 (Debian 1:10.0.2+ds-2)"), None);
        assert_eq!(old_qemu("8.2.0"), None);
        let reason = old_qemu("7.2.17 (Debian 1:7.2+dfsg)").unwrap();
        assert!(reason.contains("8.2 and newer"), "{reason}");
        assert_eq!(old_qemu("from the future"), None);
    }
}
