use super::*;

fn spec(firmware: Firmware) -> MachineSpec {
    MachineSpec {
        memory_mib: 1024,
        cpus: 1,
        disk_gib: None,
        firmware,
        internet: false,
        hostname: "qemu0".to_owned(),
    }
}

fn inputs(arch: Arch, accelerator: Accelerator, uefi: bool) -> Inputs {
    Inputs {
        arch,
        accelerator,
        id: "0-1-2".to_owned(),
        disk: "/w/disk,1.qcow2".into(),
        ignition: "/o/ignition.json".into(),
        firmware: uefi.then(|| FirmwareFiles {
            code: "/fw/CODE.fd".into(),
            vars: "/w/VARS.fd".into(),
        }),
    }
}

fn line(spec: &MachineSpec, inputs: &Inputs) -> String {
    shell_quoted(OsStr::new("qemu"), &arguments(spec, inputs))
}

#[test]
fn a_bios_machine_under_kvm_is_kolas() {
    let line = line(
        &spec(Firmware::Bios),
        &inputs(Arch::X86_64, Accelerator::Kvm, false),
    );
    assert_eq!(
        line,
        "qemu -accel kvm -cpu host -m 1024 -smp 1 -object rng-random,filename=/dev/urandom,id=rng0 \
         -device virtio-rng-pci,rng=rng0 -uuid 0-1-2 -nographic -nodefaults -boot order=c,strict=on \
         -device virtio-serial -add-fd fd=5,set=5 -chardev file,id=virtioserial1,path=/dev/fdset/5,append=on \
         -device virtserialport,chardev=virtioserial1,name=mantlejournal \
         -device virtio-blk-pci,drive=disk-1,serial=primary-disk,bootindex=1,werror=enospc \
         -drive if=none,id=disk-1,format=qcow2,auto-read-only=off,cache=unsafe,discard=unmap,file=/w/disk,,1.qcow2 \
         -fw_cfg name=opt/com.coreos/config,file=/o/ignition.json \
         -netdev user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname=qemu0,restrict=on -device virtio-net-pci,netdev=eth0 \
         -chardev socket,id=qemu-qmp,fd=3 -mon chardev=qemu-qmp,mode=control \
         -add-fd fd=6,set=6 -chardev file,id=virtioserial2,path=/dev/fdset/6,append=on \
         -device virtserialport,chardev=virtioserial2,name=com.coreos.ignition.journal \
         -add-fd fd=4,set=4 -chardev file,id=log,path=/dev/fdset/4,append=on -serial chardev:log"
    );
}

#[test]
fn emulation_is_threaded_bounded_and_has_kolas_cpu() {
    let line = line(
        &spec(Firmware::Bios),
        &inputs(Arch::X86_64, Accelerator::Tcg, false),
    );
    assert!(
        line.contains("-accel tcg,thread=multi,tb-size=256 -cpu Nehalem "),
        "{line}"
    );
    assert!(!line.contains("-machine"), "{line}");
}

#[test]
fn uefi_machines_are_q35_with_two_flash_chips() {
    let line = line(
        &spec(Firmware::Uefi),
        &inputs(Arch::X86_64, Accelerator::Kvm, true),
    );
    assert!(line.starts_with("qemu -machine q35 -accel kvm "), "{line}");
    let flash = "-drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/CODE.fd \
                 -drive if=pflash,unit=1,format=raw,file=/w/VARS.fd";
    assert!(line.contains(flash), "{line}");
}

#[test]
fn aarch64_machines_are_virt() {
    let kvm = line(
        &spec(Firmware::Uefi),
        &inputs(Arch::Aarch64, Accelerator::Kvm, true),
    );
    assert!(
        kvm.starts_with("qemu -machine virt,gic-version=max -accel kvm -cpu host "),
        "{kvm}"
    );
    let tcg = line(
        &spec(Firmware::Uefi),
        &inputs(Arch::Aarch64, Accelerator::Tcg, true),
    );
    assert!(tcg.contains(" -cpu max,pauth-impdef=on "), "{tcg}");
}

#[test]
fn only_tests_that_need_it_get_the_internet() {
    let mut open = spec(Firmware::Bios);
    open.internet = true;
    let open = line(&open, &inputs(Arch::X86_64, Accelerator::Kvm, false));
    assert!(!open.contains("restrict"), "{open}");
    // Forwards are bound to the host itself in any case.
    assert!(open.contains("hostfwd=tcp:127.0.0.1:0-:22"), "{open}");
}

#[test]
fn quoting_survives_a_shell() {
    let words = ["a b", "it's", "", "plain=1,2"].map(OsString::from);
    assert_eq!(
        shell_quoted(OsStr::new("q"), &words),
        r"q 'a b' 'it'\''s' '' plain=1,2"
    );
}
