//! From a template to a machine.

use std::path::Path;

use kolea_machine::{CloneRequest, MachineError};
use serde_json::json;

use super::save::load;
use super::{Frozen, names};
use crate::by_hand::ByHand;
use crate::command_line::{self, Inputs, Memory};
use crate::files;
use crate::hardware::{self, Origin, Places};
use crate::iso;
use crate::launch::{Common, machine_files, make_dir};
use crate::machine::QemuMachine;
use crate::provision;
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
    let steps = Steps::default();
    let spec = &frozen.manifest().key.spec;
    let places = Places {
        work,
        files: own.path(),
        artefacts: &dir,
    };
    let origin = Origin::Template(source);
    let mut hardware = hardware::make(common, spec, origin, places, &steps).await?;
    iso::insert(common, spec, origin, own.path(), "", &mut hardware, &steps).await?;
    let memory = Memory::CopyOnWrite(source.join(files::names::RAM));
    let inputs = Inputs {
        arch: common.arch,
        machine_type: common.firmwares.machine_type(spec.firmware).to_owned(),
        accelerator: common.accelerator,
        id: id.clone(),
        config: provision::clone(common, spec, source, &dir)?,
        memory: memory.clone(),
        ignition_port: common.profile.ignition_journal_port.clone(),
        devices: hardware.devices,
        by_hand: ByHand::default(),
    };
    let parts = Parts {
        id,
        dir,
        args: command_line::arguments(spec, &inputs),
        files: own,
        memory,
        template: Some(request.template.clone()),
        late: None,
        journal: frozen.journal().clone(),
        steps: Steps::default(),
        inherited: hardware.inherited,
        helpers: hardware.helpers,
        completion: hardware.completion,
        served: None,
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
