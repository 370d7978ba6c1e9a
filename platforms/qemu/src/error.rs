//! What can keep the platform from starting; nothing has been booted when one of these is returned.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

use crate::boot::BootError;

/// Why the QEMU platform can't be used.
#[derive(Debug, Error)]
pub enum QemuError {
    /// QEMU or one of its tools is not installed.
    #[error("cannot find {program} in PATH; install the package {package}")]
    NoProgram {
        /// The program.
        program: String,
        /// Debian's package.
        package: &'static str,
    },
    /// A tool could not be run.
    #[error("cannot run {program}: {message}")]
    Program {
        /// The program.
        program: String,
        /// What went wrong.
        message: String,
    },
    /// An architecture that this platform does not know.
    #[error("cannot run images for {arch}: this version knows {known}")]
    Arch {
        /// What was asked for.
        arch: String,
        /// What there is.
        known: String,
    },
    /// The image can't be booted.
    #[error("cannot use image {}: {message}", path.display())]
    Image {
        /// The image.
        path: PathBuf,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// The firmware's files are not there, or there is no such firmware for the architecture.
    #[error("cannot use the firmware: {0}")]
    Firmware(String),
    /// Machines were to have a TPM, and can't.
    #[error("cannot give machines a TPM: {0}; leave out --qemu-swtpm to do without")]
    Tpm(String),
    /// A size for the primary disk that it can't have.
    #[error("cannot make disks of size {size:?} (--qemu-size): {message}")]
    DiskSize {
        /// What was asked for.
        size: String,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// A directory of the host that can't be given to the guests.
    #[error("--qemu-bind-ro: {0}")]
    Mount(String),
    /// A network for the primary interface that it can't have.
    #[error("cannot give machines the network {network:?} (--usernet-addr): {message}")]
    Usernet {
        /// What was asked for.
        network: String,
        /// What is wrong with it and what to do.
        message: String,
    },
    /// `--accel kvm` was asked for, and KVM does not work.
    #[error(
        "cannot use KVM: {0}; leave out --accel kvm to let kolea fall back to emulation (slower)"
    )]
    Kvm(String),
    /// The image can't have kernel arguments.
    #[error(transparent)]
    Boot(#[from] BootError),
    /// A directory could not be made or used.
    #[error("cannot {action} {}: {source}", path.display())]
    Directory {
        /// What was being done.
        action: &'static str,
        /// The directory.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// Machines can't be provisioned in the way that was chosen.
    #[error("--provision {by}: {message}")]
    Provisioning {
        /// The way.
        by: &'static str,
        /// Why not, and what to do.
        message: String,
    },
    /// A user's key that can't be used.
    #[error("cannot use the SSH key {} (--ssh-key): {message}", path.display())]
    SshKey {
        /// The file.
        path: PathBuf,
        /// Why not.
        message: String,
    },
    /// The key of this run could not be made.
    #[error("cannot make this run's SSH key: {0}")]
    Key(String),
}
