//! The ways in which a machine learns what its first boot is to bring about.

/// How a machine is provisioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Provisioning {
    /// By Ignition, in the initramfs of the first boot.
    #[default]
    Ignition,
    /// By systemd's credentials, which the firmware hands over (SMBIOS type 11).
    Credentials,
    /// By cloud-init, from a disk with NoCloud's files.
    CloudInit,
    /// Not at all: the image has to let us in as it is.
    None,
}
