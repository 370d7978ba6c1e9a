//! From a template to a machine.

use std::fs;
use std::path::Path;

use kolea_machine::{CloneRequest, MachineError};
use serde_json::json;

use super::save::load;
use super::{Frozen, names};
use crate::command_line::{self, Inputs, Memory};
use crate::disk::{Backing, create_overlay, file_error};
use crate::files;
use crate::launch::{Common, firmware, machine_files, make_dir};
use crate::machine::QemuMachine;
use crate::start::{Lives, Parts, Started, start};
use crate::steps::Steps;

/// Starts a clone; when this returns, its CPUs run.
pub async fn launch_clone(
    common: &Common,
    work: &Path,
    request: CloneRequest,
    lives: &Lives,
) -> Result<QemuMachine, MachineError> {
    let Some(frozen) = request.template.as_any().downcast_ref::<Frozen>() else {
        return Err(MachineError::Harness(
            "cannot clone a template of another platform".to_owned(),
        ));
    };
    let source = request.template.dir();
    let id = uuid::Uuid::new_v4().to_string();
    let dir = make_dir(&request.dir, &id)?;
    let own = machine_files(work, &id)?;
    // The config is part of the hardware: the template's, with the template's key in it.
    let ignition = dir.join(names::IGNITION);
    fs::copy(source.join(names::IGNITION), &ignition)
        .map_err(|error| file_error("write", &ignition, &error))?;
    let steps = Steps::default();
    let disk = own.path().join(files::names::DISK);
    let frozen_disk = source.join(files::names::DISK);
    let backing = Backing {
        path: &frozen_disk,
        format: "qcow2",
    };
    steps
        .time(
            "overlay",
            create_overlay(&common.qemu_img, backing, None, &disk),
        )
        .await?;
    let vars = source.join(files::names::FIRMWARE_VARS);
    let memory = Memory::CopyOnWrite(source.join(files::names::RAM));
    let inputs = Inputs {
        arch: common.arch,
        machine_type: common.machine_type.clone(),
        accelerator: common.accelerator,
        id: id.clone(),
        disk,
        ignition,
        firmware: firmware(common, Some(&vars), own.path())?,
        memory: memory.clone(),
        ignition_port: common.profile.ignition_journal_port.clone(),
        transport: None,
    };
    let parts = Parts {
        id,
        dir,
        args: command_line::arguments(&frozen.manifest().key.spec, &inputs),
        files: own,
        memory,
        template: Some(request.template.clone()),
        journal: frozen.journal().clone(),
        steps: Steps::default(),
        helpers: Vec::new(),
    };
    let started = async {
        let mut started = start(common, parts, lives).await?;
        started.made().await?;
        Ok(started)
    };
    let started: Started = steps.time("start", started).await?;
    let state = source.join(names::STATE);
    let loaded = async {
        let machine = started.machine();
        load(&machine.qmp, &machine.leash.0, &state).await?;
        machine.qmp.execute("cont", json!({})).await
    };
    if let Err(error) = steps.time("load", loaded).await {
        return Err(started.failed(&error).await);
    }
    let machine = started.finish();
    machine.steps.append(&steps);
    Ok(machine)
}
