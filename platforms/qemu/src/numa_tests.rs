//! Memory in two parts is saved and comes back, each where it was. The guest is a BIOS that finds nothing to boot.

use std::os::unix::fs::FileExt;

use kolea_machine::Provision;
use kolea_machine::profile::Profile;
use serde_json::json;

use super::*;
use crate::command_line::{self, Config, Inputs, Memory};
use crate::drives::Drive;
use crate::files::names;
use crate::hardware::{Devices, Inherited};
use crate::options::{Accel, QemuOptions, Tpm};
use crate::pumps::JournalState;
use crate::start::{Parts, start};
use crate::steps::Steps;

/// Where the second node's memory begins, in bytes: a half of all.
const HALF: u64 = 32 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn a_clone_with_two_nodes_has_the_memory_of_both() {
    let dir = tempfile::tempdir().unwrap();
    let mut boot_sector = vec![0_u8; 1 << 20];
    boot_sector[..3].copy_from_slice(&[0xf4, 0xeb, 0xfd]); // halts for ever
    boot_sector[510..512].copy_from_slice(&[0x55, 0xaa]);
    let image = dir.path().join("disk.raw");
    std::fs::write(&image, boot_sector).unwrap();
    let platform = QemuPlatform::new(QemuOptions {
        image,
        arch: "x86_64".to_owned(),
        accel: Accel::Tcg,
        firmware: None,
        memory_mib: Some(HALF >> 19),
        disk_size: None,
        mounts: Vec::new(),
        profile: Profile::builtin("fcos").unwrap(),
        cache_dir: dir.path().join("cache"),
        template_cache: None,
        work_dir: Some(dir.path().join("work")),
        tpm: Tpm::None,
        ..QemuOptions::default()
    })
    .await
    .unwrap();
    let needs = MachineNeeds {
        numa: true,
        ..MachineNeeds::default()
    };
    let spec = platform.resolve(&needs);
    assert_eq!(platform.not_clonable(&spec), None);
    let request = LaunchRequest {
        owner: "test".to_owned(),
        dir: dir.path().join("out"),
        spec: spec.clone(),
        provision: Provision::default(),
        freezable: true,
        network: None,
    };
    let (common, work) = (&platform.common, platform.work.path());
    let machine = launch(common, work, None, request, &platform.lives)
        .await
        .unwrap();
    machine.qmp.execute("stop", json!({})).await.unwrap();
    let files = machine.files.take().unwrap();
    let file = |name: &str| files.path().join(name);
    let ram = file(names::RAM);
    let marks: [(u64, &[u8]); 2] = [(HALF / 2, b"node 0"), (HALF + HALF / 2, b"node 1")];
    for (at, mark) in marks {
        let ram = std::fs::File::options().write(true).open(&ram).unwrap();
        ram.write_all_at(mark, at).unwrap();
    }
    let state = file("state");
    templates::save(&machine, &state).await.unwrap();
    machine.stop().await;

    let inputs = Inputs {
        arch: common.arch,
        machine_type: common.firmwares.machine_type(spec.firmware).to_owned(),
        accelerator: common.accelerator,
        id: uuid::Uuid::new_v4().to_string(),
        config: Config::FwCfg(machine.dir().join("ignition.json")),
        memory: Memory::CopyOnWrite(ram),
        ignition_port: common.profile.ignition_journal_port.clone(),
        devices: Devices {
            drives: vec![Drive {
                number: 1,
                primary: true,
                bootable: true,
                spec: kolea_model::DiskSpec::default(),
                file: file(names::DISK),
                paths: Vec::new(),
            }],
            ..Devices::default()
        },
        by_hand: crate::ByHand::default(),
    };
    let parts = Parts {
        id: inputs.id.clone(),
        dir: machine.dir().to_owned(),
        args: command_line::arguments(&spec, &inputs),
        files,
        memory: inputs.memory.clone(),
        template: None,
        late: None,
        journal: JournalState::default(),
        steps: Steps::default(),
        inherited: Inherited::default(),
        helpers: Vec::new(),
        served: None,
        completion: None,
    };
    let mut clone = start(common, parts, &platform.lives).await.unwrap();
    clone.made().await.unwrap();
    let clone = clone.finish();
    templates::load(&clone.qmp, &clone.leash.0, &state)
        .await
        .unwrap();
    for (at, mark) in marks {
        let read = dir.path().join("read");
        let order = json!({ "val": at, "size": mark.len(), "filename": read });
        clone.qmp.execute("pmemsave", order).await.unwrap();
        assert_eq!(std::fs::read(&read).unwrap(), mark);
    }
    let nodes = clone.qmp.execute("query-memory-size-summary", json!({}));
    assert_eq!(nodes.await.unwrap()["base-memory"], 2 * HALF);
    clone.stop().await;
    assert_eq!(platform.close().await, Vec::<String>::new());
}
