//! The command line of one machine: a pure function of its spec and of what was found on the host.
//!
//! What a guest can observe of it is kola's (device order, serials, MAC address, names of the virtio ports), since
//! tests depend on it.

mod args;
mod config;
mod disks;
mod firmware;
mod iso;
mod memory;
mod mounts;
mod nics;
mod tpm;

use std::ffi::OsString;
use std::path::PathBuf;

use kolea_machine::agent::AGENT_PORT;
use kolea_model::MachineSpec;

use self::args::Args;
pub use self::args::{shell_quoted, with_path};
pub use self::config::Config;
use self::memory::has_backend;
use crate::arch::Arch;
use crate::by_hand::{ByHand, Ends};
use crate::hardware::Devices;

/// Bound on TCG's translated code, in MiB. One vCPU booting a small image translated 203 MiB of it; QEMU's default bound
/// is 1 GiB a machine, which no admission control could plan with. When it is full, QEMU starts over.
pub const TRANSLATION_BUFFER_MIB: u64 = 256;

/// The file descriptors that QEMU inherits, by their numbers in QEMU.
pub mod fds {
    /// Connected socket of the monitor.
    pub const MONITOR: i32 = 3;
    /// Pipe: the serial console.
    pub const CONSOLE: i32 = 4;
    /// Pipe: port `mantlejournal`.
    pub const JOURNAL: i32 = 5;
    /// Pipe: the port for what the initramfs says.
    pub const IGNITION: i32 = 6;
    /// Connected socket: port `kolea.agent`.
    pub const AGENT: i32 = 7;
    /// The first of all others: what [`Inherited`](crate::hardware::Inherited) numbers.
    pub const OTHERS: i32 = 8;
}

/// What executes the guest's instructions, decided.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Accelerator {
    /// The host's CPU.
    Kvm,
    /// Emulation.
    Tcg,
}

impl Accelerator {
    /// QEMU's name for it.
    pub fn name(self) -> &'static str {
        match self {
            Accelerator::Kvm => "kvm",
            Accelerator::Tcg => "tcg",
        }
    }
}

/// Where a guest's memory is. The guest can't tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// In QEMU, or in what it shares with virtiofsd; gone with it.
    Anonymous,
    /// In a file that the guest writes to: it may become a template's.
    Shared(PathBuf),
    /// In a template's file, which stays as it is: what the guest writes is its own. Such a machine waits for its state
    /// (`-incoming defer`).
    CopyOnWrite(PathBuf),
}

/// Everything that a command line depends on besides the spec.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// Architecture.
    pub arch: Arch,
    /// Versioned machine type.
    pub machine_type: String,
    /// Accelerator.
    pub accelerator: Accelerator,
    /// The machine's UUID.
    pub id: String,
    /// Its first boot's config.
    pub config: Config,
    /// Where its memory is.
    pub memory: Memory,
    /// The name of the virtio port for what the initramfs says (`Profile::ignition_journal_port`).
    pub ignition_port: String,
    /// Its devices.
    pub devices: Devices,
    /// What a person wants of it.
    pub by_hand: ByHand,
}

/// Accelerator and CPU model: what the accelerator probe has to prove, so it uses them too.
pub fn accelerator_args(arch: Arch, accelerator: Accelerator) -> Vec<OsString> {
    let (accel, cpu) = match accelerator {
        Accelerator::Kvm => ("kvm".to_owned(), Some("host")),
        Accelerator::Tcg => (
            format!("tcg,thread=multi,tb-size={TRANSLATION_BUFFER_MIB}"),
            arch.emulated_cpu(),
        ),
    };
    let mut args = vec!["-accel".into(), accel.into()];
    args.extend(
        cpu.into_iter()
            .flat_map(|cpu| ["-cpu", cpu].map(OsString::from)),
    );
    args
}

/// The arguments of QEMU, without the program's name.
pub fn arguments(spec: &MachineSpec, inputs: &Inputs) -> Vec<OsString> {
    let mut args = Args::new(inputs.arch);
    args.ends = inputs.by_hand.ends.clone();
    args.drive_options = inputs.by_hand.drive_options.clone();
    args.add("-machine", machine(spec, inputs));
    args.words
        .extend(accelerator_args(inputs.arch, inputs.accelerator));
    args.add("-m", spec.memory_mib.to_string());
    args.memory(spec, inputs);
    args.cpus(spec);
    args.add("-object", "rng-random,filename=/dev/urandom,id=rng0");
    args.add("-device", format!("{},rng=rng0", inputs.arch.virtio("rng")));
    args.add("-uuid", &inputs.id);
    args.flag("-nographic");
    args.flag("-nodefaults");
    args.add("-boot", "order=c,strict=on");
    if let Some(socket) = inputs.devices.tpm {
        args.tpm(socket);
    }

    // One device for both ports, made before the disk as kola does: PCI slots are given in this order.
    args.add("-device", "virtio-serial");
    args.pipe("virtioserial1", fds::JOURNAL);
    args.add(
        "-device",
        "virtserialport,chardev=virtioserial1,name=mantlejournal",
    );

    let devices = &inputs.devices;
    if let Some(firmware) = &devices.firmware {
        args.firmware(firmware);
    }
    for drive in &devices.drives {
        args.drive(drive);
    }
    if let Some(cd) = &devices.cd {
        args.cd(cd);
    }
    args.config(&inputs.config);
    let netboot = inputs.by_hand.netboot.as_ref();
    args.nics(spec, devices, netboot);
    args.mounts(&spec.mounts, devices);

    if args.ends != Ends::Alone {
        args.socket("qemu-qmp", fds::MONITOR);
        args.add("-mon", "chardev=qemu-qmp,mode=control");
    }
    args.pipe("virtioserial2", fds::IGNITION);
    args.add(
        "-device",
        with_path(
            "virtserialport,chardev=virtioserial2,name=",
            inputs.ignition_port.as_ref(),
        ),
    );
    args.socket("kolea-agent", fds::AGENT);
    args.add(
        "-device",
        // With an id, QEMU says when nobody in the guest has the port open any more (VSERPORT_CHANGE).
        format!("virtserialport,chardev=kolea-agent,name={AGENT_PORT},id={AGENT_PORT}"),
    );
    if let Some(fd) = devices.completion {
        args.completion(fd);
    }
    args.console();
    if inputs.arch.has_vmgenid() {
        // Changes when a machine is restored, and tells the guest's kernel, which reseeds its random numbers.
        args.add("-device", "vmgenid,guid=auto");
    }
    // After all other devices of its bus, so that tests find their disks where they always are.
    if let Config::Seed(path) = &inputs.config {
        args.small_disk("cidata", path);
    }
    args.words.extend(inputs.by_hand.args.iter().cloned());
    args.words
}

/// The value of `-machine`.
fn machine(spec: &MachineSpec, inputs: &Inputs) -> String {
    let options = inputs.arch.machine_options(inputs.accelerator);
    let firmware = inputs.devices.firmware.as_ref();
    let smm = if firmware.is_some_and(|uefi| uefi.smm) {
        ",smm=on"
    } else {
        ""
    };
    // That of NUMA nodes is named with the nodes.
    let memory = if has_backend(spec, inputs) && !spec.numa {
        ",memory-backend=ram"
    } else {
        ""
    };
    format!("{}{options}{smm}{memory}", inputs.machine_type)
}

#[cfg(test)]
mod arch_tests;
#[cfg(test)]
mod tests;
