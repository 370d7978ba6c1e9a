//! What this version cannot give to a machine.

use kolea_model::{BootFrom, Firmware, MachineNeeds};

use crate::arch::Arch;

/// What a test asks for and no machine of that architecture (its RPM name) has, by the names of the metadata; none if it can
/// have all. Whether this host has what is left is for [`check`](crate::check) to say.
pub fn unmet(needs: &MachineNeeds, arch: &str) -> Option<String> {
    let arch = Arch::from_name(arch).ok();
    let has_numa = arch.is_some_and(Arch::has_numa);
    let no_firmware = |asked| arch.is_none_or(|arch| arch.firmware(asked).is_err());
    let asked = [
        (
            "bootFrom: iso-as-disk",
            needs.boot_from == Some(BootFrom::IsoAsDisk) && arch != Some(Arch::X86_64),
        ),
        (
            // Another machine's network card has no iPXE that it could run.
            "bootFrom: pxe",
            needs.boot_from.is_some_and(BootFrom::is_pxe) && arch != Some(Arch::X86_64),
        ),
        ("instanceType", needs.instance_type.is_some()),
        ("numaNodes", needs.numa && !has_numa),
        (
            "tag secure-boot",
            needs.secure_boot && no_firmware(Some(Firmware::UefiSecure)),
        ),
        (
            "firmware",
            needs.firmware.is_some() && no_firmware(needs.firmware),
        ),
    ];
    let names: Vec<&str> = asked
        .iter()
        .filter(|(_, asked)| *asked)
        .map(|(name, _)| *name)
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}

#[cfg(test)]
mod tests {
    use kolea_model::{DiskSpec, HostMount};

    use super::*;

    #[test]
    fn disks_mounts_and_nodes_can_be_had_and_nics() {
        let mut needs = MachineNeeds {
            disk_gib: Some(10),
            primary_disk: Some(DiskSpec {
                multipath: true,
                ..DiskSpec::default()
            }),
            additional_disks: vec![DiskSpec::default()],
            numa: true,
            mounts: vec![HostMount {
                host: "/srv".into(),
                guest: "/srv".to_owned(),
                writable: false,
            }],
            ..MachineNeeds::default()
        };
        assert_eq!(unmet(&needs, "x86_64"), None);
        assert_eq!(unmet(&needs, "s390x").as_deref(), Some("numaNodes"));
        needs.boot_from = Some(BootFrom::Iso);
        assert_eq!(unmet(&needs, "aarch64"), None);
        needs.boot_from = Some(BootFrom::IsoAsDisk);
        assert_eq!(unmet(&needs, "x86_64"), None);
        assert_eq!(
            unmet(&needs, "aarch64").as_deref(),
            Some("bootFrom: iso-as-disk")
        );
        needs.boot_from = Some(BootFrom::PxeRootfsAppended);
        assert_eq!(unmet(&needs, "x86_64"), None);
        assert_eq!(unmet(&needs, "aarch64").as_deref(), Some("bootFrom: pxe"));
        needs.boot_from = None;
        needs.additional_nics = 1;
        assert_eq!(unmet(&needs, "aarch64"), None);
    }
    #[test]
    fn firmware_is_a_matter_of_the_architecture() {
        let secure = MachineNeeds {
            secure_boot: true,
            ..MachineNeeds::default()
        };
        let bios = MachineNeeds {
            firmware: Some(Firmware::Bios),
            ..MachineNeeds::default()
        };
        let all = ["x86_64", "aarch64", "s390x"];
        let told = |needs| all.map(|arch| unmet(needs, arch));
        let secure_boot = Some("tag secure-boot".to_owned());
        assert_eq!(told(&secure), [None, None, secure_boot]);
        assert_eq!(told(&bios), [None, Some("firmware".to_owned()), None]);
    }
}
