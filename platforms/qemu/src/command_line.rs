//! The command line of one machine: a pure function of its spec and of what was found on the host.
//!
//! What a guest can observe of it is kola's (device order, serials, MAC address, names of the virtio ports), since
//! tests depend on it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use kolea_machine::agent::AGENT_PORT;
use kolea_model::MachineSpec;

use crate::arch::{Arch, FirmwareFiles};

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
    /// Pipe: port `com.coreos.ignition.journal`.
    pub const IGNITION: i32 = 6;
    /// Connected socket: port `kolea.agent`.
    pub const AGENT: i32 = 7;
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
    /// In QEMU, gone with it.
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
    /// The qcow2 overlay.
    pub disk: PathBuf,
    /// The rendered Ignition config.
    pub ignition: PathBuf,
    /// Firmware code, and this machine's own copy of the variables; for UEFI.
    pub firmware: Option<FirmwareFiles>,
    /// Where its memory is.
    pub memory: Memory,
}

/// Accelerator and CPU model: what the accelerator probe has to prove, so it uses them too.
pub fn accelerator_args(arch: Arch, accelerator: Accelerator) -> Vec<OsString> {
    let (accel, cpu) = match (accelerator, arch) {
        (Accelerator::Kvm, _) => ("kvm".to_owned(), "host"),
        (Accelerator::Tcg, arch) => (
            format!("tcg,thread=multi,tb-size={TRANSLATION_BUFFER_MIB}"),
            match arch {
                Arch::X86_64 => "Nehalem",
                // The architecture's pointer authentication costs half of the time when emulated.
                Arch::Aarch64 => "max,pauth-impdef=on",
            },
        ),
    };
    ["-accel", &accel, "-cpu", cpu].map(OsString::from).to_vec()
}

/// The arguments of QEMU, without the program's name.
pub fn arguments(spec: &MachineSpec, inputs: &Inputs) -> Vec<OsString> {
    let mut args = Args(Vec::new());
    args.add("-machine", machine(inputs));
    args.0
        .extend(accelerator_args(inputs.arch, inputs.accelerator));
    args.add("-m", spec.memory_mib.to_string());
    args.memory(spec.memory_mib, &inputs.memory);
    args.add("-smp", spec.cpus.to_string());
    args.add("-object", "rng-random,filename=/dev/urandom,id=rng0");
    args.add("-device", "virtio-rng-pci,rng=rng0");
    args.add("-uuid", &inputs.id);
    args.flag("-nographic");
    args.flag("-nodefaults");
    args.add("-boot", "order=c,strict=on");

    // One device for both ports, made before the disk as kola does: PCI slots are given in this order.
    args.add("-device", "virtio-serial");
    args.pipe("virtioserial1", fds::JOURNAL);
    args.add(
        "-device",
        "virtserialport,chardev=virtioserial1,name=mantlejournal",
    );

    if let Some(firmware) = &inputs.firmware {
        args.add(
            "-drive",
            with_path(
                "if=pflash,unit=0,format=raw,readonly=on,file=",
                firmware.code.as_os_str(),
            ),
        );
        args.add(
            "-drive",
            with_path(
                "if=pflash,unit=1,format=raw,file=",
                firmware.vars.as_os_str(),
            ),
        );
    }

    // When the host's disk is full the machine is paused and an event says so (werror=enospc); any other write error
    // is the guest's to see.
    args.add(
        "-device",
        "virtio-blk-pci,drive=disk-1,serial=primary-disk,bootindex=1,werror=enospc",
    );
    args.add(
        "-drive",
        with_path(
            "if=none,id=disk-1,format=qcow2,auto-read-only=off,cache=unsafe,discard=unmap,file=",
            inputs.disk.as_os_str(),
        ),
    );
    args.add(
        "-fw_cfg",
        with_path(
            "name=opt/com.coreos/config,file=",
            inputs.ignition.as_os_str(),
        ),
    );

    // Port 0: the kernel picks a free one, and the monitor is asked which.
    let restrict = if spec.internet { "" } else { ",restrict=on" };
    args.add(
        "-netdev",
        format!(
            "user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname={}{restrict}",
            spec.hostname
        ),
    );
    args.add("-device", "virtio-net-pci,netdev=eth0");

    args.add(
        "-chardev",
        format!("socket,id=qemu-qmp,fd={}", fds::MONITOR),
    );
    args.add("-mon", "chardev=qemu-qmp,mode=control");
    args.pipe("virtioserial2", fds::IGNITION);
    args.add(
        "-device",
        "virtserialport,chardev=virtioserial2,name=com.coreos.ignition.journal",
    );
    args.add(
        "-chardev",
        format!("socket,id=kolea-agent,fd={}", fds::AGENT),
    );
    args.add(
        "-device",
        // With an id, QEMU says when nobody in the guest has the port open any more (VSERPORT_CHANGE).
        format!("virtserialport,chardev=kolea-agent,name={AGENT_PORT},id={AGENT_PORT}"),
    );
    args.pipe("log", fds::CONSOLE);
    args.add("-serial", "chardev:log");
    if inputs.arch == Arch::X86_64 {
        // Changes when a machine is restored, and tells the guest's kernel, which reseeds its random numbers.
        args.add("-device", "vmgenid,guid=auto");
    }
    args.0
}

/// The value of `-machine`.
fn machine(inputs: &Inputs) -> String {
    let options = match inputs.arch {
        Arch::X86_64 => "",
        Arch::Aarch64 => ",gic-version=max",
    };
    let memory = match inputs.memory {
        Memory::Anonymous => "",
        Memory::Shared(_) | Memory::CopyOnWrite(_) => ",memory-backend=ram",
    };
    format!("{}{options}{memory}", inputs.machine_type)
}

struct Args(Vec<OsString>);

impl Args {
    fn flag(&mut self, name: &str) {
        self.0.push(name.into());
    }

    fn add(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.0.push(name.into());
        self.0.push(value.as_ref().to_owned());
    }

    /// Both kinds of files have the same id: QEMU finds memory by it when a state is loaded.
    fn memory(&mut self, mib: u64, memory: &Memory) {
        let (path, mode) = match memory {
            Memory::Anonymous => return,
            Memory::Shared(path) => (path, "share=on"),
            Memory::CopyOnWrite(path) => (path, "share=off,readonly=on,rom=off"),
        };
        let options = format!("memory-backend-file,id=ram,size={mib}M,{mode},mem-path=");
        self.add("-object", with_path(&options, path.as_os_str()));
        if matches!(memory, Memory::CopyOnWrite(_)) {
            self.add("-incoming", "defer");
        }
    }

    /// A character device that writes to an inherited pipe. `append` keeps QEMU from opening it for truncation, which
    /// the descriptor set would refuse.
    fn pipe(&mut self, id: &str, fd: i32) {
        self.add("-add-fd", format!("fd={fd},set={fd}"));
        self.add(
            "-chardev",
            format!("file,id={id},path=/dev/fdset/{fd},append=on"),
        );
    }
}

/// Appends a path as an option's value: commas are doubled, as QEMU's option parser wants it.
pub fn with_path(options: &str, path: &OsStr) -> OsString {
    use std::os::unix::ffi::{OsStrExt, OsStringExt};
    let mut bytes = options.as_bytes().to_vec();
    for byte in path.as_bytes() {
        bytes.push(*byte);
        if *byte == b',' {
            bytes.push(b',');
        }
    }
    OsString::from_vec(bytes)
}

/// The command as one line that a POSIX shell takes apart again into the same words.
pub fn shell_quoted(program: &OsStr, args: &[OsString]) -> String {
    std::iter::once(program)
        .chain(args.iter().map(OsString::as_os_str))
        .map(|word| {
            let word = word.to_string_lossy();
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=,@%+".contains(c);
            if !word.is_empty() && word.chars().all(plain) {
                word.into_owned()
            } else {
                format!("'{}'", word.replace('\'', r"'\''"))
            }
        })
        .collect::<Vec<_>>()
        .join(" ")
}

#[cfg(test)]
#[path = "command_line_tests.rs"]
mod tests;
