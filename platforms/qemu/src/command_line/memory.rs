//! Memory, CPUs and NUMA nodes.

use kolea_model::MachineSpec;

use super::args::{Args, with_path};
use super::{Inputs, Memory};
use crate::mounts::Transport;

/// Whether memory is an object of its own: where it is a file, where another process has to see it, and where there are
/// several.
pub fn has_backend(spec: &MachineSpec, inputs: &Inputs) -> bool {
    inputs.memory != Memory::Anonymous
        || inputs.devices.transport == Some(Transport::Virtiofs)
        || spec.numa
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

impl Args {
    /// Memory that is an object of its own.
    pub fn memory(&mut self, spec: &MachineSpec, inputs: &Inputs) {
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
    pub fn cpus(&mut self, spec: &MachineSpec) {
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
}
