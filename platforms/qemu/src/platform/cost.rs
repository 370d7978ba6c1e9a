//! What machines cost the host, for admission.

use kolea_model::MachineSpec;

use super::resolve::disks;
use crate::command_line::{Accelerator, TRANSLATION_BUFFER_MIB};
use crate::nbd::NBD_MIB;
use crate::swtpm::SWTPM_MIB;
use crate::virtiofsd::VIRTIOFSD_MIB;

/// What QEMU needs beside the guest's memory, in MiB: itself (about 60 MiB measured), device state, page tables, and
/// the page cache of the overlay that can't be dropped at once.
const QEMU_MIB: u64 = 128;

/// What a machine's own server needs, in MiB: for each of a few connections a process of kolea's, most of which all share.
const SERVER_MIB: u64 = 16;

/// What a clone costs, in MiB, besides its template's memory, which all clones share and the host can drop at any time (it
/// is a file's). Measured under TCG with a guest of 1 GiB, private memory of the process: 40 MiB after it woke, 95 after a
/// log-in over SSH, 141 after a trivial test, of which QEMU itself is 30 and translated code half of the rest. A test may
/// do more than that, so several times as much is counted; one that needs memory says so in its spec.
fn clone_cost(memory_mib: u64, accelerator: Accelerator) -> u64 {
    let translation = match accelerator {
        Accelerator::Kvm => 0,
        Accelerator::Tcg => TRANSLATION_BUFFER_MIB / 2,
    };
    memory_mib / 4 + QEMU_MIB + translation
}

/// What a machine's TPM costs, in MiB.
fn tpm_mib(spec: &MachineSpec) -> u64 {
    if spec.tpm { SWTPM_MIB } else { 0 }
}

/// What a machine costs, in MiB: the guest's memory, QEMU and all helpers.
pub fn of_machine(spec: &MachineSpec, accelerator: Accelerator) -> u64 {
    let translation = match accelerator {
        Accelerator::Kvm => 0,
        // Translated code, and half as much again for QEMU's tables about it.
        Accelerator::Tcg => TRANSLATION_BUFFER_MIB * 3 / 2,
    };
    let served = disks(spec).filter(|disk| disk.multipath).count();
    let helpers = VIRTIOFSD_MIB * spec.mounts.len() as u64 + NBD_MIB * served as u64;
    let server = spec.server.as_ref().map_or(0, |_| SERVER_MIB);
    spec.memory_mib + QEMU_MIB + translation + helpers + tpm_mib(spec) + server
}

/// What a clone costs, in MiB.
pub fn of_clone(spec: &MachineSpec, accelerator: Accelerator) -> u64 {
    let cost = clone_cost(spec.memory_mib, accelerator) + tpm_mib(spec);
    cost.min(of_machine(spec, accelerator))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clone_costs_a_third_of_a_machine() {
        let cold = 1024 + QEMU_MIB + TRANSLATION_BUFFER_MIB * 3 / 2;
        assert!(clone_cost(1024, Accelerator::Tcg) * 3 <= cold);
        assert_eq!(clone_cost(4096, Accelerator::Kvm), 1024 + QEMU_MIB);
    }
}
