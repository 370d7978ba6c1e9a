//! The whole command lines of the architectures other than x86_64, whose are in [`tests`](super::tests).

use kolea_model::{Firmware, HostMount};

use super::tests::{inputs, line, spec};
use super::*;
use crate::mounts::Transport;

/// The line of a plain machine, with the same words on it for every architecture but for these: what follows `-machine`, what
/// becomes of `virtio-…` devices, the firmware, and where the config is.
fn expected(machine: &str, bus: &str, firmware: &str, config: &str) -> String {
    format!(
        "qemu -machine {machine} -m 2048 -smp 1 -object rng-random,filename=/dev/urandom,id=rng0 \
         -device virtio-rng-{bus},rng=rng0 -uuid 0-1-2 -nographic -nodefaults -boot order=c,strict=on \
         -device virtio-serial -add-fd fd=5,set=5 -chardev file,id=virtioserial1,path=/dev/fdset/5,append=on \
         -device virtserialport,chardev=virtioserial1,name=mantlejournal{firmware} \
         -device virtio-blk-{bus},drive=disk-1,serial=primary-disk,bootindex=1,werror=enospc \
         -drive if=none,id=disk-1,format=qcow2,auto-read-only=off,cache=unsafe,discard=unmap,file=/w/disk,,1.qcow2 \
         {config} \
         -netdev user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname=qemu0,restrict=on -device virtio-net-{bus},netdev=eth0 \
         -chardev socket,id=qemu-qmp,fd=3 -mon chardev=qemu-qmp,mode=control \
         -add-fd fd=6,set=6 -chardev file,id=virtioserial2,path=/dev/fdset/6,append=on \
         -device virtserialport,chardev=virtioserial2,name=com.coreos.ignition.journal \
         -chardev socket,id=kolea-agent,fd=7 -device virtserialport,chardev=kolea-agent,name=kolea.agent,id=kolea.agent \
         -add-fd fd=4,set=4 -chardev file,id=log,path=/dev/fdset/4,append=on -serial chardev:log"
    )
}

fn plain(arch: Arch, accelerator: Accelerator) -> String {
    let firmware = arch.firmware(None).unwrap();
    let spec = MachineSpec {
        memory_mib: arch.memory_mib(None, None),
        ..spec(firmware)
    };
    line(
        &spec,
        &inputs(arch, accelerator, firmware == Firmware::Uefi),
    )
}

const FLASH: &str = " -drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/CODE.fd \
                     -drive if=pflash,unit=1,format=raw,file=/w/VARS.fd";
const FW_CFG: &str = "-fw_cfg name=opt/com.coreos/config,file=/o/ignition.json";

#[test]
fn aarch64_under_kvm_has_the_hosts_cpu_and_interrupt_controller() {
    assert_eq!(
        plain(Arch::Aarch64, Accelerator::Kvm),
        expected(
            "virt-10.0,gic-version=max -accel kvm -cpu host",
            "pci",
            FLASH,
            FW_CFG
        )
    );
}

#[test]
fn aarch64_is_emulated_with_a_64_bit_cpu() {
    assert_eq!(
        plain(Arch::Aarch64, Accelerator::Tcg),
        expected(
            "virt-10.0,gic-version=max -accel tcg,thread=multi,tb-size=256 -cpu max,pauth-impdef=on",
            "pci",
            FLASH,
            FW_CFG
        )
    );
}

#[test]
fn power_gets_ignition_by_a_disk() {
    let config = "-drive if=none,id=ignition,format=raw,readonly=on,file=/o/ignition.json \
                  -device virtio-blk-pci,serial=ignition,drive=ignition";
    assert_eq!(
        plain(Arch::Ppc64le, Accelerator::Kvm),
        expected(
            "pseries-10.0,kvm-type=HV,ic-mode=xics -accel kvm -cpu host",
            "pci",
            "",
            config
        )
    );
    assert_eq!(
        plain(Arch::Ppc64le, Accelerator::Tcg),
        expected(
            "pseries-10.0,ic-mode=xics -accel tcg,thread=multi,tb-size=256",
            "pci",
            "",
            config
        )
    );
}

#[test]
fn z_has_channels_instead_of_pci() {
    let config = "-drive if=none,id=ignition,format=raw,readonly=on,file=/o/ignition.json \
                  -device virtio-blk-ccw,serial=ignition,drive=ignition";
    assert_eq!(
        plain(Arch::S390x, Accelerator::Kvm),
        expected(
            "s390-ccw-virtio-10.0 -accel kvm -cpu host",
            "ccw",
            "",
            config
        )
    );
    assert_eq!(
        plain(Arch::S390x, Accelerator::Tcg),
        expected(
            "s390-ccw-virtio-10.0 -accel tcg,thread=multi,tb-size=256",
            "ccw",
            "",
            config
        )
    );
}

#[test]
fn directories_of_the_host_are_on_the_bus_of_the_architecture() {
    let spec = MachineSpec {
        mounts: vec![HostMount {
            host: "/h".into(),
            guest: "/srv".to_owned(),
            writable: false,
        }],
        ..spec(Firmware::Bios)
    };
    for (arch, bus) in [(Arch::Ppc64le, "pci"), (Arch::S390x, "ccw")] {
        let with = |transport| {
            let mut inputs = inputs(arch, Accelerator::Kvm, false);
            inputs.devices.transport = Some(transport);
            inputs.devices.mounts = vec![8];
            line(&spec, &inputs)
        };
        let virtiofs = with(Transport::Virtiofs);
        let device = format!(
            "-chardev socket,id=mount0,fd=8 -device vhost-user-fs-{bus},queue-size=1024,chardev=mount0,tag=/srv "
        );
        assert!(virtiofs.contains(&device), "{virtiofs}");
        assert!(
            virtiofs.contains(",memory-backend=ram -accel "),
            "{virtiofs}"
        );
        let nine_p = with(Transport::NineP);
        let device = format!(" -device virtio-9p-{bus},fsdev=mount0,mount_tag=/srv ");
        assert!(nine_p.contains(&device), "{nine_p}");
    }
}

#[test]
fn tpms_have_the_device_of_the_architecture() {
    for (arch, device) in [
        (Arch::X86_64, Some("tpm-tis")),
        (Arch::Aarch64, Some("tpm-tis-device")),
        (Arch::Ppc64le, Some("tpm-spapr")),
        (Arch::S390x, None),
    ] {
        let mut inputs = inputs(arch, Accelerator::Kvm, false);
        inputs.devices.tpm = Some(8);
        let line = line(&spec(Firmware::Bios), &inputs);
        let Some(device) = device else {
            assert!(!line.contains("tpm"), "{line}");
            continue;
        };
        let words = format!(
            " -boot order=c,strict=on -chardev socket,id=chrtpm,fd=8 \
             -tpmdev emulator,id=tpm0,chardev=chrtpm -device {device},tpmdev=tpm0 "
        );
        assert!(line.contains(&words), "{line}");
    }
}

#[test]
fn quoted_paths_of_configs_survive_qemus_parser() {
    let mut inputs = inputs(Arch::S390x, Accelerator::Tcg, false);
    inputs.config = Config::ignition(
        Arch::S390x,
        &MachineSpec::default(),
        "/o,1/ignition.json".into(),
    );
    let line = line(&spec(Firmware::Bios), &inputs);
    assert!(line.contains(",file=/o,,1/ignition.json "), "{line}");
}
