//! Flags of `kolea qemuexec`. They are kola's, but for `--print-command`.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{Args, ValueEnum};
use kolea_model::{DiskSpec, HostMount};

/// kola's limit for `--additional-nics`.
const MOST_NICS: i64 = 16;

/// `kolea qemuexec`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Machine")]
pub struct QemuexecArgs {
    /// The image, if not given by --qemu-image
    #[arg(value_name = "IMAGE")]
    pub image: Option<PathBuf>,
    /// Arguments of QEMU, after all others
    #[arg(last = true, value_name = "QEMU-ARGUMENT")]
    pub qemu: Vec<OsString>,
    /// Print the command that boots the machine, and stop; its files are made in the output directory and stay there
    #[arg(long)]
    pub print_command: bool,
    /// Open a shell over SSH, rather than show the console; the machine ends with it
    #[arg(long)]
    pub devshell: bool,
    /// As --devshell, with the console rather than SSH
    #[arg(short = 'c', long)]
    pub devshell_console: bool,
    /// Run this over SSH, rather than a shell, and end
    #[arg(short = 'x', long, value_name = "COMMAND")]
    pub ssh_command: Option<String>,
    /// The console goes to this file
    #[arg(long, value_name = "FILE")]
    pub console_to_file: Option<PathBuf>,
    /// Fail as soon as the initramfs does (its console would show an emergency shell)
    #[arg(long)]
    pub propagate_initramfs_failure: bool,
    /// An Ignition config for the machine
    #[arg(short, long, value_name = "FILE")]
    pub ignition: Option<PathBuf>,
    /// A Butane config for the machine
    #[arg(short = 'B', long, value_name = "FILE", conflicts_with = "ignition")]
    pub butane: Option<PathBuf>,
    /// Something else that its config says
    #[arg(long, value_name = "FRAGMENT", value_enum, value_delimiter = ',')]
    pub add_ignition: Vec<Fragment>,
    /// Give the machine the config as it is; kolea adds nothing of its own, and cannot log in
    #[arg(long)]
    pub ignition_direct: bool,
    /// Write the config into the image's boot file system (the machine's overlay of it)
    #[arg(long)]
    pub inject_ignition: bool,
    /// Its host name
    #[arg(long, value_name = "NAME")]
    pub hostname: Option<String>,
    /// Kernel arguments for every boot
    #[arg(long, value_name = "ARGUMENTS")]
    pub kargs: Vec<String>,
    /// Kernel arguments for the first boot
    #[arg(long, value_name = "ARGUMENTS")]
    pub firstbootkargs: Option<String>,
    /// Its memory, in MiB, as --qemu-memory
    #[arg(short, long, value_name = "MIB", value_parser = clap::value_parser!(u64).range(1..))]
    pub memory: Option<u64>,
    /// As many CPUs as the host has, up to 16
    #[arg(long)]
    pub auto_cpus: bool,
    /// Two NUMA nodes
    #[arg(short = 'n', long = "numaNodes")]
    pub numa_nodes: bool,
    /// A disk besides the primary one, as `additionalDisks` of tests has it: `10G`, `5G:channel=nvme`
    #[arg(short = 'D', long, value_name = "SIZE[:OPTIONS]", value_parser = disk)]
    pub add_disk: Vec<DiskSpec>,
    /// Let it reach the Internet and this host
    #[arg(short = 'U', long)]
    pub usernet: bool,
    /// Another network for its primary interface than 10.0.2.0/24; with --usernet
    #[arg(long, value_name = "ADDRESS/BITS")]
    pub usernet_addr: Option<String>,
    /// Interfaces besides the primary one
    #[arg(long, default_value_t = 0, hide_default_value = true, value_name = "N",
          value_parser = clap::value_parser!(u32).range(0..=MOST_NICS))]
    pub additional_nics: u32,
    /// A directory of the host that it may read; once for each
    #[arg(long, value_name = "HOST,GUEST")]
    pub bind_ro: Vec<HostMount>,
    /// A directory of the host that it may write to; once for each
    #[arg(long, value_name = "HOST,GUEST")]
    pub bind_rw: Vec<HostMount>,
    /// Boot this from the network, by QEMU's TFTP server, if the disk has nothing to boot
    #[arg(long, value_name = "FILE")]
    pub netboot: Option<PathBuf>,
    /// The directory of the TFTP server, in which --netboot is [default: the file's own]
    #[arg(long, value_name = "DIR", requires = "netboot")]
    pub netboot_dir: Option<PathBuf>,
}

/// `--add-ignition`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[value(rename_all = "lower")]
pub enum Fragment {
    /// The profile's user is logged in on all consoles.
    AutoLogin,
    /// A shell on the serial console learns the size of the terminal.
    AutoResize,
    /// Zincati does not update the machine.
    NoAutoUpdate,
}

fn disk(text: &str) -> Result<DiskSpec, String> {
    DiskSpec::parse_additional(text).map_err(|error| error.to_string())
}
