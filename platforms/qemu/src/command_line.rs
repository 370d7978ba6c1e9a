//! The command line of one machine: a pure function of its spec and of what was found on the host.
//!
//! What a guest can observe of it is kola's (device order, serials, MAC address, names of the virtio ports), since
//! tests depend on it.

use std::ffi::{OsStr, OsString};
use std::path::PathBuf;

use kolea_machine::agent::AGENT_PORT;
use kolea_model::{HostMount, MachineSpec};

use crate::arch::{Arch, FirmwareFiles};
use crate::mounts::{self, Transport};

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
    /// The first of the connected sockets of helpers: virtiofsd's, one a directory.
    pub const HELPERS: i32 = 8;
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
    /// The qcow2 overlay.
    pub disk: PathBuf,
    /// The rendered Ignition config.
    pub ignition: PathBuf,
    /// Firmware code, and this machine's own copy of the variables; for UEFI.
    pub firmware: Option<FirmwareFiles>,
    /// Where its memory is.
    pub memory: Memory,
    /// The name of the virtio port for what the initramfs says (`Profile::ignition_journal_port`).
    pub ignition_port: String,
    /// How directories of the host get into the guest; none do without.
    pub transport: Option<Transport>,
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
    args.add("-machine", machine(spec, inputs));
    args.0
        .extend(accelerator_args(inputs.arch, inputs.accelerator));
    args.add("-m", spec.memory_mib.to_string());
    args.memory(spec, inputs);
    args.cpus(spec);
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
    if let Some(transport) = inputs.transport {
        args.mounts(&spec.mounts, transport);
    }

    args.add(
        "-chardev",
        format!("socket,id=qemu-qmp,fd={}", fds::MONITOR),
    );
    args.add("-mon", "chardev=qemu-qmp,mode=control");
    args.pipe("virtioserial2", fds::IGNITION);
    args.add(
        "-device",
        with_path(
            "virtserialport,chardev=virtioserial2,name=",
            inputs.ignition_port.as_ref(),
        ),
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
fn machine(spec: &MachineSpec, inputs: &Inputs) -> String {
    let options = match inputs.arch {
        Arch::X86_64 => "",
        Arch::Aarch64 => ",gic-version=max",
    };
    // That of NUMA nodes is named with the nodes.
    let memory = if has_backend(spec, inputs) && !spec.numa {
        ",memory-backend=ram"
    } else {
        ""
    };
    format!("{}{options}{memory}", inputs.machine_type)
}

/// Whether memory is an object of its own: where it is a file, where another process has to see it, and where there are
/// several.
fn has_backend(spec: &MachineSpec, inputs: &Inputs) -> bool {
    inputs.memory != Memory::Anonymous || inputs.transport == Some(Transport::Virtiofs) || spec.numa
}

/// The parts of a machine's memory: name, size and where in a file it begins, in MiB. QEMU finds memory by these names when
/// a state is loaded.
fn memory_parts(spec: &MachineSpec) -> Vec<(&'static str, u64, u64)> {
    let all = spec.memory_mib;
    if spec.numa {
        let half = all / 2;
        vec![("mem0", half, 0), ("mem1", all - half, half)]
    } else {
        vec![("ram", all, 0)]
    }
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

    fn memory(&mut self, spec: &MachineSpec, inputs: &Inputs) {
        if !has_backend(spec, inputs) {
            return;
        }
        for (id, mib, offset) in memory_parts(spec) {
            let (path, mode) = match &inputs.memory {
                Memory::Anonymous => {
                    let object = format!("memory-backend-memfd,id={id},size={mib}M,share=on");
                    self.add("-object", object);
                    continue;
                }
                Memory::Shared(path) => (path, "share=on"),
                Memory::CopyOnWrite(path) => (path, "share=off,readonly=on,rom=off"),
            };
            let offset = if offset == 0 {
                String::new()
            } else {
                format!(",offset={offset}M")
            };
            let options =
                format!("memory-backend-file,id={id},size={mib}M{offset},{mode},mem-path=");
            self.add("-object", with_path(&options, path.as_os_str()));
        }
        if matches!(inputs.memory, Memory::CopyOnWrite(_)) {
            self.add("-incoming", "defer");
        }
    }

    /// Each NUMA node is a socket of its own with one half of everything.
    fn cpus(&mut self, spec: &MachineSpec) {
        let all = spec.cpus;
        if !spec.numa {
            self.add("-smp", all.to_string());
            return;
        }
        self.add("-smp", format!("{all},sockets=2"));
        for (node, (id, ..)) in (0..).zip(memory_parts(spec)) {
            let (first, last) = (node * all / 2, (node + 1) * all / 2 - 1);
            let cpus = if first == last {
                first.to_string()
            } else {
                format!("{first}-{last}")
            };
            self.add(
                "-numa",
                format!("node,memdev={id},cpus={cpus},nodeid={node}"),
            );
        }
    }

    /// Directories of the host. What the guest may do with them is decided here and by virtiofsd, not by how it mounts them.
    fn mounts(&mut self, mounts: &[HostMount], transport: Transport) {
        for (index, (mount, fd)) in mounts.iter().zip(fds::HELPERS..).enumerate() {
            let (device, tag) = match transport {
                Transport::Virtiofs => {
                    self.add("-chardev", format!("socket,id=mount{index},fd={fd}"));
                    ("vhost-user-fs-pci,queue-size=1024,chardev=mount", "tag")
                }
                Transport::NineP => {
                    let options = format!(
                        "local,id=mount{index},security_model=none,readonly=on,multidevs=remap,path="
                    );
                    self.add("-fsdev", with_path(&options, mount.host.as_os_str()));
                    ("virtio-9p-pci,fsdev=mount", "mount_tag")
                }
            };
            let options = format!("{device}{index},{tag}=");
            let name = mounts::tag(index, mount);
            self.add("-device", with_path(&options, name.as_ref()));
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
