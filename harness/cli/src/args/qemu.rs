//! Flags about machines in QEMU.

use clap::{Args, ValueEnum};
use kolea_model::HostMount;

/// Machines in QEMU.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "QEMU")]
pub struct QemuArgs {
    /// The firmware: bios, uefi or uefi-secure (with Secure Boot) [default: bios on x86_64, uefi on aarch64]
    #[arg(long, value_name = "FIRMWARE", value_parser = firmware)]
    pub qemu_firmware: Option<FirmwareArg>,
    /// Memory of every machine, in MiB, whatever its test asks for
    #[arg(long, value_name = "MIB", value_parser = memory)]
    pub qemu_memory: Option<Memory>,
    /// Size of the primary disk, as `qemu-img resize` takes it: `20G`, or `+5G` for more than the image has
    #[arg(long, value_name = "[+]SIZE")]
    pub qemu_size: Option<String>,
    /// The primary disk has sectors of 4096 bytes, as its image must have; with UEFI unless said otherwise
    #[arg(long)]
    pub qemu_native_4k: bool,
    /// The primary disk has physical sectors of 4096 bytes, and logical ones of 512
    #[arg(long)]
    pub qemu_512e: bool,
    /// The primary disk is an NVMe one
    #[arg(long)]
    pub qemu_nvme: bool,
    /// The primary disk is there twice, on two paths
    #[arg(long)]
    pub qemu_multipath: bool,
    /// A directory of the host that every machine may read; once for each
    #[arg(long, value_name = "HOST,GUEST")]
    pub qemu_bind_ro: Vec<HostMount>,
    /// Kernel arguments of live systems that boot over the network (PXE), between blanks
    #[arg(long, value_name = "ARGUMENTS")]
    pub pxe_kargs: Vec<String>,
    /// Without effect: what is installed is never verified
    #[arg(short = 'S', long, hide = true)]
    pub inst_insecure: bool,
    /// KVM or emulation; `auto` tries KVM with a tiny guest first
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// Machines have a TPM 2.0, which swtpm emulates: `false` for none; `true` makes it an error if there is no swtpm
    #[arg(long, value_name = "BOOL", action = clap::ArgAction::Set, default_value_t = true)]
    pub qemu_swtpm: bool,
    /// Options of the primary disk's drive, for `qemuexec`; without effect in `run`, as in kola's
    #[arg(long, value_name = "OPTIONS", hide = true)]
    pub qemu_drive_opts: Option<String>,
    /// Without effect, as in kola's `run`
    #[arg(long, hide = true)]
    pub qemu_nbd_socket: bool,
}

/// `--qemu-firmware`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FirmwareArg {
    /// The architecture's own (an empty value).
    Default,
    /// SeaBIOS.
    Bios,
    /// OVMF or AAVMF.
    Uefi,
    /// The same, with Secure Boot.
    UefiSecure,
}

/// `--qemu-memory`; none for an empty value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory(pub Option<u64>);

/// `--accel`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum AccelArg {
    /// KVM if it works.
    Auto,
    /// KVM or an error.
    Kvm,
    /// Emulation.
    Tcg,
}

fn firmware(text: &str) -> Result<FirmwareArg, String> {
    Ok(match text {
        "" => FirmwareArg::Default,
        "bios" => FirmwareArg::Bios,
        "uefi" => FirmwareArg::Uefi,
        "uefi-secure" => FirmwareArg::UefiSecure,
        _ => return Err("must be bios, uefi or uefi-secure".to_owned()),
    })
}

fn memory(text: &str) -> Result<Memory, String> {
    match text.parse() {
        _ if text.is_empty() => Ok(Memory(None)),
        Ok(mib) if mib > 0 => Ok(Memory(Some(mib))),
        _ => Err("must be a number of MiB, such as 2048".to_owned()),
    }
}
