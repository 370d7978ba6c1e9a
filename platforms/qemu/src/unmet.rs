//! What this version cannot give to a machine.

use kolea_model::MachineNeeds;

use crate::arch::Arch;

/// What a test asks for and no machine of that architecture (its RPM name) has, by the names of the metadata; none if it can
/// have all. Whether this host has what is left is for [`check`](crate::check) to say.
pub fn unmet(needs: &MachineNeeds, arch: &str) -> Option<String> {
    let has_numa = Arch::from_name(arch).is_ok_and(Arch::has_numa);
    let asked = [
        ("additionalNics", needs.additional_nics > 0),
        ("appendKernelArgs", needs.kernel_args.is_some()),
        (
            "appendFirstbootKernelArgs",
            needs.firstboot_kernel_args.is_some(),
        ),
        ("bootFrom", needs.boot_from.is_some()),
        ("instanceType", needs.instance_type.is_some()),
        ("numaNodes", needs.numa && !has_numa),
        ("tag secure-boot", needs.secure_boot),
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
    fn disks_mounts_and_nodes_can_be_had_and_nics_not() {
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
            }],
            ..MachineNeeds::default()
        };
        assert_eq!(unmet(&needs, "x86_64"), None);
        assert_eq!(unmet(&needs, "s390x").as_deref(), Some("numaNodes"));
        needs.additional_nics = 1;
        assert_eq!(unmet(&needs, "aarch64").as_deref(), Some("additionalNics"));
    }
}
