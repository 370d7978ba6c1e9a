//! What is different about a machine that a person runs by hand (`kolea qemuexec`).

use std::ffi::OsString;
use std::path::PathBuf;

/// Where a machine's serial console and its channels end.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Ends {
    /// All of them here: what the machine says is read, and kept among its artefacts.
    #[default]
    Here,
    /// The console, and QEMU's monitor behind it (`-serial mon:stdio`), on our own standard input and output; the rest here.
    Terminal,
    /// All of them here; the console is kept in that file rather than among the artefacts.
    File(PathBuf),
    /// The console on QEMU's standard input and output, the rest nowhere: somebody else starts QEMU.
    Alone,
}

/// What the firmware boots from the network if the disk has nothing to boot.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Netboot {
    /// The directory that QEMU's own TFTP server serves (`tftp=` of its user network).
    pub dir: PathBuf,
    /// The file in it that DHCP names (`bootfile=`).
    pub file: String,
}

/// What a person decides about a machine, and no test can.
#[derive(Clone, Debug, Default)]
pub struct ByHand {
    /// Where console and channels end.
    pub ends: Ends,
    /// The Ignition config that the guest gets as it is, without our key and our journal stream (`--ignition-direct`).
    pub config: Option<String>,
    /// Whether the config is written into the boot file system, as for guests that cannot find it in the firmware's
    /// configuration device (`--inject-ignition`).
    pub inject: bool,
    /// Options of the primary disk's `-drive` after all others (`--qemu-drive-opts`): `cache=none,aio=io_uring`.
    pub drive_options: Option<String>,
    /// What is booted from the network.
    pub netboot: Option<Netboot>,
    /// Arguments of QEMU after all others.
    pub args: Vec<OsString>,
}
