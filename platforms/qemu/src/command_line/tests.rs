use std::ffi::OsStr;

use kolea_machine::provisioning::credentials::Credential;
use kolea_model::{DiskSpec, Firmware, HostMount};

use super::*;
use crate::drives::Drive;
use crate::firmware::{Flash, FlashFormat, Uefi};
use crate::mounts::Transport;

pub fn spec(firmware: Firmware) -> MachineSpec {
    MachineSpec {
        memory_mib: 1024,
        cpus: 1,
        firmware,
        hostname: "qemu0".to_owned(),
        ..MachineSpec::default()
    }
}

pub fn inputs(arch: Arch, accelerator: Accelerator, uefi: bool) -> Inputs {
    Inputs {
        arch,
        accelerator,
        machine_type: match (arch, uefi) {
            (Arch::Aarch64, _) => "virt-10.0",
            (Arch::Ppc64le, _) => "pseries-10.0",
            (Arch::S390x, _) => "s390-ccw-virtio-10.0",
            (Arch::X86_64, true) => "pc-q35-10.0",
            (Arch::X86_64, false) => "pc-i440fx-10.0",
        }
        .to_owned(),
        id: "0-1-2".to_owned(),
        config: Config::ignition(arch, &MachineSpec::default(), "/o/ignition.json".into()),
        memory: Memory::Anonymous,
        ignition_port: "com.coreos.ignition.journal".to_owned(),
        devices: Devices {
            drives: vec![Drive {
                number: 1,
                primary: true,
                bootable: true,
                spec: DiskSpec::default(),
                file: "/w/disk,1.qcow2".into(),
                paths: Vec::new(),
            }],
            firmware: uefi.then(|| Uefi {
                code: Some(flash("/fw/CODE.fd")),
                vars: flash("/w/VARS.fd"),
                smm: false,
            }),
            ..Devices::default()
        },
        by_hand: ByHand::default(),
    }
}

pub fn line(spec: &MachineSpec, inputs: &Inputs) -> String {
    shell_quoted(OsStr::new("qemu"), &arguments(spec, inputs))
}

fn flash(path: &str) -> Flash {
    Flash {
        path: path.into(),
        format: FlashFormat::Raw,
    }
}

#[test]
fn a_bios_machine_under_kvm_is_kolas() {
    let line = line(
        &spec(Firmware::Bios),
        &inputs(Arch::X86_64, Accelerator::Kvm, false),
    );
    assert_eq!(
        line,
        "qemu -machine pc-i440fx-10.0 -accel kvm -cpu host -m 1024 -smp 1 -object rng-random,filename=/dev/urandom,id=rng0 \
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
         -chardev socket,id=kolea-agent,fd=7 -device virtserialport,chardev=kolea-agent,name=kolea.agent,id=kolea.agent \
         -add-fd fd=4,set=4 -chardev file,id=log,path=/dev/fdset/4,append=on -serial chardev:log \
         -device vmgenid,guid=auto"
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
}

#[test]
fn uefi_machines_are_q35_with_two_flash_chips() {
    let line = line(
        &spec(Firmware::Uefi),
        &inputs(Arch::X86_64, Accelerator::Kvm, true),
    );
    assert!(
        line.starts_with("qemu -machine pc-q35-10.0 -accel kvm "),
        "{line}"
    );
    let flash = "-drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/CODE.fd \
                 -drive if=pflash,unit=1,format=raw,file=/w/VARS.fd";
    assert!(line.contains(flash), "{line}");
}

#[test]
fn secure_boot_is_kept_by_system_management_mode() {
    for accelerator in [Accelerator::Kvm, Accelerator::Tcg] {
        let mut inputs = inputs(Arch::X86_64, accelerator, true);
        inputs.memory = Memory::Shared("/t/ram".into());
        let uefi = inputs.devices.firmware.as_mut().unwrap();
        uefi.smm = true;
        let line = line(&spec(Firmware::UefiSecure), &inputs);
        assert!(
            line.starts_with("qemu -machine pc-q35-10.0,smm=on,memory-backend=ram -accel "),
            "{line}"
        );
        let flash = "-global driver=cfi.pflash01,property=secure,value=on -global ICH9-LPC.disable_s3=1 \
                     -drive if=pflash,unit=0,format=raw,readonly=on,file=/fw/CODE.fd \
                     -drive if=pflash,unit=1,format=raw,file=/w/VARS.fd";
        assert!(line.contains(flash), "{line}");
    }
    // Not every architecture has that mode.
    let arm = inputs(Arch::Aarch64, Accelerator::Kvm, true);
    let line = line(&spec(Firmware::UefiSecure), &arm);
    assert!(!line.contains("smm") && !line.contains("-global"), "{line}");
}

#[test]
fn firmware_may_be_qcow2_and_in_one_image() {
    let mut inputs = inputs(Arch::X86_64, Accelerator::Kvm, true);
    let uefi = inputs.devices.firmware.as_mut().unwrap();
    (uefi.vars.path, uefi.vars.format) = ("/w/VARS,1.qcow2".into(), FlashFormat::Qcow2);
    uefi.code.as_mut().unwrap().format = FlashFormat::Qcow2;
    let split = line(&spec(Firmware::Uefi), &inputs);
    let flash = "-drive if=pflash,unit=0,format=qcow2,readonly=on,file=/fw/CODE.fd \
                 -drive if=pflash,unit=1,format=qcow2,file=/w/VARS,,1.qcow2 ";
    assert!(split.contains(flash), "{split}");
    inputs.devices.firmware.as_mut().unwrap().code = None;
    let combined = line(&spec(Firmware::Uefi), &inputs);
    let flash = "-drive if=pflash,unit=0,format=qcow2,file=/w/VARS,,1.qcow2 ";
    assert!(combined.contains(flash), "{combined}");
    assert!(!combined.contains("unit=1"), "{combined}");
}

#[test]
fn machines_without_ignition_have_credentials_or_a_seed_or_nothing() {
    let of = |config: Config| {
        let inputs = Inputs {
            config,
            ..inputs(Arch::X86_64, Accelerator::Kvm, false)
        };
        let line = line(&spec(Firmware::Bios), &inputs);
        assert!(!line.contains("fw_cfg"), "{line}");
        line
    };
    let credential = Credential {
        name: "tmpfiles.extra",
        contents: "a, b\n".to_owned(),
    };
    let smbios = "-smbios type=11,value=io.systemd.credential.binary:tmpfiles.extra=YSwgYgo= ";
    assert!(of(Config::Smbios(vec![credential])).contains(smbios));
    // The last disk.
    let seed = "-device vmgenid,guid=auto -drive if=none,id=cidata,format=raw,readonly=on,file=/w/a,,b \
                -device virtio-blk-pci,serial=cidata,drive=cidata";
    assert!(of(Config::Seed("/w/a,b".into())).ends_with(seed));
    assert!(of(Config::Inside).ends_with("-device vmgenid,guid=auto"));
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

/// Every kind of machine: its spec and its inputs.
fn kinds() -> Vec<(MachineSpec, Inputs)> {
    let accelerators = [Accelerator::Kvm, Accelerator::Tcg];
    let kinds = [
        (Arch::X86_64, Firmware::Bios, false),
        (Arch::X86_64, Firmware::Bios, true),
        (Arch::X86_64, Firmware::Uefi, false),
        (Arch::Aarch64, Firmware::Uefi, false),
        (Arch::Aarch64, Firmware::Uefi, true),
        (Arch::Ppc64le, Firmware::Bios, false),
        (Arch::Ppc64le, Firmware::Bios, true),
        (Arch::S390x, Firmware::Bios, false),
    ];
    kinds
        .into_iter()
        .flat_map(|(arch, firmware, numa)| {
            accelerators.map(|accelerator| {
                let spec = MachineSpec {
                    numa,
                    cpus: if numa { 2 } else { 1 },
                    ..spec(firmware)
                };
                (spec, inputs(arch, accelerator, firmware == Firmware::Uefi))
            })
        })
        .collect()
}

/// What a guest can see of a command line: all of it but where memory is, and that its state is to come.
fn visible(line: &str) -> String {
    let mut words = line
        .split(' ')
        .map(|word| word.replace(",memory-backend=ram", ""));
    let mut kept = Vec::new();
    while let Some(word) = words.next() {
        match word.as_str() {
            "-incoming" => drop(words.next()),
            "-object" => {
                let object = words.next().unwrap_or_default();
                if !object.starts_with("memory-backend-") {
                    kept.extend([word, object]);
                }
            }
            _ => kept.push(word),
        }
    }
    kept.join(" ")
}

#[test]
fn guests_cannot_tell_booted_machines_templates_and_clones_apart() {
    for (spec, inputs) in kinds() {
        let with = |memory| {
            let inputs = Inputs {
                memory,
                ..inputs.clone()
            };
            line(&spec, &inputs)
        };
        let booted = with(Memory::Anonymous);
        let template = with(Memory::Shared("/t/ram,1".into()));
        let clone = with(Memory::CopyOnWrite("/t/ram,1".into()));
        assert_eq!(visible(&template), visible(&booted));
        assert_eq!(visible(&clone), visible(&booted));
        if spec.numa {
            continue;
        }
        assert!(!booted.contains("memory-backend"), "{booted}");
        assert_eq!(visible(&booted), booted);
        let object = "-m 1024 -object memory-backend-file,id=ram,size=1024M,";
        let shared = format!("{object}share=on,mem-path=/t/ram,,1 -smp 1 ");
        let private = format!(
            "{object}share=off,readonly=on,rom=off,mem-path=/t/ram,,1 -incoming defer -smp 1 "
        );
        assert!(template.contains(&shared), "{template}");
        assert!(clone.contains(&private), "{clone}");
        for line in [&template, &clone] {
            assert!(line.contains(",memory-backend=ram -accel "), "{line}");
        }
    }
}

#[test]
fn every_machine_has_the_agents_port_last() {
    for (spec, inputs) in kinds() {
        let line = line(&spec, &inputs);
        let port = line.find("name=kolea.agent").unwrap();
        // Ports are numbered in this order.
        assert!(line.find("name=mantlejournal").unwrap() < port);
        assert!(line.find("name=com.coreos.ignition.journal").unwrap() < port);
    }
}

#[test]
fn another_distributions_port_is_named_as_it_is() {
    let inputs = Inputs {
        ignition_port: "org.nest.journal,1".to_owned(),
        ..inputs(Arch::X86_64, Accelerator::Kvm, false)
    };
    let line = line(&spec(Firmware::Bios), &inputs);
    assert!(
        line.contains("-device virtserialport,chardev=virtioserial2,name=org.nest.journal,,1 "),
        "{line}"
    );
    assert!(!line.contains("com.coreos.ignition"), "{line}");
}

#[test]
fn numa_nodes_share_cpus_and_memory() {
    let mut spec = spec(Firmware::Bios);
    (spec.numa, spec.cpus, spec.memory_mib) = (true, 2, 1025);
    for (arch, accelerator) in [
        (Arch::X86_64, Accelerator::Kvm),
        (Arch::X86_64, Accelerator::Tcg),
        (Arch::Aarch64, Accelerator::Kvm),
        (Arch::Aarch64, Accelerator::Tcg),
    ] {
        let booted = inputs(arch, accelerator, arch == Arch::Aarch64);
        let with = |memory| Inputs {
            memory,
            ..booted.clone()
        };
        let nodes = "-smp 2,sockets=2 -numa node,memdev=mem0,cpus=0,nodeid=0 -numa node,memdev=mem1,cpus=1,nodeid=1 ";
        let anonymous = format!(
            "-m 1025 -object memory-backend-memfd,id=mem0,size=512M,share=on \
             -object memory-backend-memfd,id=mem1,size=513M,share=on {nodes}"
        );
        let template = format!(
            "-m 1025 -object memory-backend-file,id=mem0,size=512M,share=on,mem-path=/t/ram \
             -object memory-backend-file,id=mem1,size=513M,offset=512M,share=on,mem-path=/t/ram {nodes}"
        );
        let mode = "share=off,readonly=on,rom=off,mem-path=/t/ram";
        let clone = format!(
            "-m 1025 -object memory-backend-file,id=mem0,size=512M,{mode} \
             -object memory-backend-file,id=mem1,size=513M,offset=512M,{mode} -incoming defer {nodes}"
        );
        for (memory, expected) in [
            (Memory::Anonymous, anonymous),
            (Memory::Shared("/t/ram".into()), template),
            (Memory::CopyOnWrite("/t/ram".into()), clone),
        ] {
            let line = line(&spec, &with(memory));
            assert!(line.contains(&expected), "{line}");
            assert!(!line.contains("memory-backend=ram"), "{line}");
        }
    }
    spec.cpus = 5;
    let line = line(&spec, &inputs(Arch::X86_64, Accelerator::Kvm, false));
    assert!(line.contains("cpus=0-1,nodeid=0 "), "{line}");
    assert!(line.contains("cpus=2-4,nodeid=1 "), "{line}");
}

/// A machine with two directories of the host.
fn mounting(numa: bool) -> MachineSpec {
    let mount = |host: &str, guest: &str| HostMount {
        host: host.into(),
        guest: guest.to_owned(),
        writable: false,
    };
    MachineSpec {
        numa,
        cpus: if numa { 2 } else { 1 },
        mounts: vec![mount("/h/a, b", "/srv/a, b"), mount("/h/c", "/srv/c")],
        ..spec(Firmware::Bios)
    }
}

fn sharing(transport: Transport, sockets: &[i32]) -> Devices {
    Devices {
        transport: Some(transport),
        mounts: sockets.to_vec(),
        ..inputs(Arch::X86_64, Accelerator::Tcg, false).devices
    }
}

#[test]
fn directories_are_read_only_on_the_hosts_side_with_9p() {
    for (arch, accelerator) in [
        (Arch::X86_64, Accelerator::Kvm),
        (Arch::X86_64, Accelerator::Tcg),
        (Arch::Aarch64, Accelerator::Kvm),
        (Arch::Aarch64, Accelerator::Tcg),
    ] {
        let inputs = Inputs {
            devices: sharing(Transport::NineP, &[]),
            ..inputs(arch, accelerator, false)
        };
        let line = line(&mounting(false), &inputs);
        let options = "security_model=none,readonly=on,multidevs=remap";
        let expected = format!(
            "-device virtio-net-pci,netdev=eth0 \
             -fsdev 'local,id=mount0,{options},path=/h/a,, b' -device 'virtio-9p-pci,fsdev=mount0,mount_tag=/srv/a,, b' \
             -fsdev local,id=mount1,{options},path=/h/c -device virtio-9p-pci,fsdev=mount1,mount_tag=/srv/c "
        );
        assert!(line.contains(&expected), "{line}");
        assert!(!line.contains("memory-backend"), "{line}");
    }
}

#[test]
fn virtiofsd_sees_the_guests_memory() {
    for (arch, accelerator) in [
        (Arch::X86_64, Accelerator::Kvm),
        (Arch::X86_64, Accelerator::Tcg),
        (Arch::Aarch64, Accelerator::Kvm),
        (Arch::Aarch64, Accelerator::Tcg),
    ] {
        let inputs = Inputs {
            devices: sharing(Transport::Virtiofs, &[8, 9]),
            ..inputs(arch, accelerator, false)
        };
        let one = line(&mounting(false), &inputs);
        assert!(one.contains(",memory-backend=ram -accel "), "{one}");
        assert!(
            one.contains("-object memory-backend-memfd,id=ram,size=1024M,share=on "),
            "{one}"
        );
        let devices = "-chardev socket,id=mount0,fd=8 -device 'vhost-user-fs-pci,queue-size=1024,chardev=mount0,tag=/srv/a,, b' \
                       -chardev socket,id=mount1,fd=9 -device vhost-user-fs-pci,queue-size=1024,chardev=mount1,tag=/srv/c ";
        assert!(one.contains(devices), "{one}");
        let two = line(&mounting(true), &inputs);
        assert_eq!(two.matches("memory-backend-memfd").count(), 2, "{two}");
        assert!(!two.contains("memory-backend=ram"), "{two}");
    }
}

#[test]
fn a_machine_that_somebody_else_starts_needs_nothing_of_ours() {
    let mut inputs = inputs(Arch::X86_64, Accelerator::Kvm, false);
    inputs.by_hand = ByHand {
        ends: Ends::Alone,
        drive_options: Some("aio=io_uring".to_owned()),
        args: vec!["-vga".into(), "std".into()],
        ..ByHand::default()
    };
    let line = line(&spec(Firmware::Bios), &inputs);
    assert!(!line.contains("fd="), "{line}");
    assert!(!line.contains("fdset"), "{line}");
    assert!(!line.contains("-mon "), "{line}");
    assert!(
        line.contains(",discard=unmap,file=/w/disk,,1.qcow2,aio=io_uring "),
        "{line}"
    );
    // The ports are there, so that devices and units of the guest are what they are in tests.
    for port in [
        "mantlejournal",
        "com.coreos.ignition.journal",
        "kolea.agent",
    ] {
        assert!(line.contains(&format!("name={port}")), "{line}");
    }
    assert!(line.contains(" -serial mon:stdio "), "{line}");
    assert!(line.ends_with(" -vga std"), "{line}");
}

#[test]
fn a_console_on_the_terminal_leaves_us_the_rest() {
    let mut inputs = inputs(Arch::X86_64, Accelerator::Kvm, false);
    inputs.by_hand.ends = Ends::Terminal;
    let terminal = line(&spec(Firmware::Bios), &inputs);
    assert!(terminal.contains(" -serial mon:stdio"), "{terminal}");
    assert!(terminal.contains("socket,id=qemu-qmp,fd=3"), "{terminal}");
}
