//! What this version cannot give to a machine.

use kolea_model::MachineNeeds;

/// What a test asks for and no machine of this platform has, by the names of the metadata; none if it can have all.
pub fn unmet(needs: &MachineNeeds) -> Option<String> {
    let asked = [
        ("primaryDisk", needs.primary_disk.is_some()),
        ("additionalDisks", !needs.additional_disks.is_empty()),
        ("additionalNics", needs.additional_nics > 0),
        ("appendKernelArgs", needs.kernel_args.is_some()),
        (
            "appendFirstbootKernelArgs",
            needs.firstboot_kernel_args.is_some(),
        ),
        ("numaNodes", needs.numa),
        ("bindMountHostRO", !needs.mounts.is_empty()),
        ("bootFrom", needs.boot_from.is_some()),
        ("instanceType", needs.instance_type.is_some()),
        ("tag secure-boot", needs.secure_boot),
    ];
    let names: Vec<&str> = asked
        .iter()
        .filter(|(_, asked)| *asked)
        .map(|(name, _)| *name)
        .collect();
    (!names.is_empty()).then(|| names.join(", "))
}
