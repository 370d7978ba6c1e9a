//! Flags about how machines learn to let us in.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kolea_machine::Provisioning;

/// How machines learn to let us in.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machines")]
pub struct ProvisionArgs {
    /// What tells a machine at its first boot to let us in [default: as the distribution's profile says, which is ignition
    /// unless the profile is your own]
    #[arg(long, value_enum, value_name = "WAY")]
    pub provision: Option<ProvisionArg>,
    /// The private key for SSH, for images that let somebody in as they are (`--provision none`) [default: one for the run]
    #[arg(long, value_name = "FILE")]
    pub ssh_key: Option<PathBuf>,
}

/// `--provision`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ProvisionArg {
    /// Ignition.
    Ignition,
    /// systemd's credentials, by SMBIOS (systemd 252 or newer).
    Credentials,
    /// cloud-init, by a NoCloud disk.
    CloudInit,
    /// Nothing: `--ssh-key` lets us in.
    None,
}

impl From<ProvisionArg> for Provisioning {
    fn from(arg: ProvisionArg) -> Provisioning {
        match arg {
            ProvisionArg::Ignition => Provisioning::Ignition,
            ProvisionArg::Credentials => Provisioning::Credentials,
            ProvisionArg::CloudInit => Provisioning::CloudInit,
            ProvisionArg::None => Provisioning::None,
        }
    }
}
