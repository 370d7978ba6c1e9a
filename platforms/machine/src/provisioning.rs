//! The ways in which a machine learns what its first boot is to bring about.
//!
//! Ignition is told everything. The others are told enough to let us in, as the profile's user who may do everything; what else
//! the harness wants ([`HarnessConfig`](crate::ignition::HarnessConfig)) is brought over the first connection
//! ([`agent::late`](crate::agent::late)).

pub mod cloud_init;
pub mod credentials;

use std::fmt;

use serde::Deserialize;

/// How a machine is provisioned.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
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

impl Provisioning {
    /// Its name, in profiles and on the command line.
    pub fn name(self) -> &'static str {
        match self {
            Provisioning::Ignition => "ignition",
            Provisioning::Credentials => "credentials",
            Provisioning::CloudInit => "cloud-init",
            Provisioning::None => "none",
        }
    }

    /// What may be missing in an image whose SSH server goes on refusing our key, for people.
    pub fn missing_key(self) -> &'static str {
        match self {
            Provisioning::Ignition => "Ignition did not add it",
            Provisioning::Credentials => {
                "systemd did not add it: that takes systemd 252 or newer with systemd-tmpfiles and systemd-sysusers, and a \
                 kernel with dmi-sysfs"
            }
            Provisioning::CloudInit => {
                "cloud-init did not add it: is it installed and enabled, with NoCloud among its data sources, and can the \
                 kernel read the seed (virtio-blk, vfat)?"
            }
            Provisioning::None => {
                "add the key of --ssh-key to its authorized_keys, or name the right user by a profile (-b FILE.toml)"
            }
        }
    }
}

impl fmt::Display for Provisioning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The user's drop-in for sudo: a name without a dot, since sudo reads no other.
const SUDOERS: &str = "/etc/sudoers.d/90-kolea";

/// Who may do everything without a password, as a line of `sudoers`.
fn sudo_rule(user: &str) -> String {
    format!("{user} ALL=(ALL:ALL) NOPASSWD: ALL\n")
}
