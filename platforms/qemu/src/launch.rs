//! Making a machine that boots.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolea_machine::profile::Profile;
use kolea_machine::ssh::SshKey;
use kolea_machine::{LaunchRequest, MachineError};

use crate::arch::{Arch, FirmwareFiles};
use crate::command_line::{self, Accelerator, Inputs, Memory};
use crate::disk::{Backing, check_room, create_overlay, file_error};
use crate::files::{MachineFiles, names};
use crate::image::Image;
use crate::machine::QemuMachine;
use crate::pumps::JournalState;
use crate::start::{Lives, Parts, start};
use crate::steps::Steps;
use crate::templates;
use crate::templates::{Store, names as template_names};

/// What all machines of a run have in common.
#[derive(Debug)]
pub struct Common {
    pub arch: Arch,
    pub accelerator: Accelerator,
    /// Versioned.
    pub machine_type: String,
    pub qemu: PathBuf,
    pub qemu_version: String,
    pub qemu_img: PathBuf,
    pub image: Image,
    pub image_sha256: String,
    /// The UEFI firmware, if machines have one.
    pub firmware: Option<FirmwareFiles>,
    pub profile: Profile,
    pub key: Arc<SshKey>,
}

/// Starts a machine whose files go to a directory of its own: in the template cache if it may be frozen and there is one,
/// in `work` otherwise.
pub async fn launch(
    common: &Common,
    work: &Path,
    store: Option<&Store>,
    request: LaunchRequest,
    lives: &Lives,
) -> Result<QemuMachine, MachineError> {
    let id = uuid::Uuid::new_v4().to_string();
    let dir = make_dir(&request.dir, &id)?;
    let files = match store.filter(|_| request.freezable) {
        Some(store) => store
            .partial()
            .map_err(|error| file_error("make a template in", store.dir(), &error))?,
        None => machine_files(work, &id)?,
    };
    let memory = if request.freezable {
        Memory::Shared(make_ram(files.path(), request.spec.memory_mib)?)
    } else {
        Memory::Anonymous
    };
    let config = templates::ignition(common, &request.provision, common.key.public_line());
    let ignition = dir.join(template_names::IGNITION);
    fs::write(&ignition, config).map_err(|error| file_error("write", &ignition, &error))?;

    let steps = Steps::default();
    let disk = files.path().join(names::DISK);
    let wanted = request.spec.disk_gib.unwrap_or(0).saturating_mul(1 << 30);
    let backing = Backing {
        path: &common.image.path,
        format: &common.image.format,
    };
    let size = (wanted > common.image.virtual_size).then_some(wanted);
    steps
        .time(
            "overlay",
            create_overlay(&common.qemu_img, backing, size, &disk),
        )
        .await?;
    let vars = common.firmware.as_ref().map(|files| files.vars.as_path());
    let inputs = Inputs {
        arch: common.arch,
        machine_type: common.machine_type.clone(),
        accelerator: common.accelerator,
        id: id.clone(),
        disk,
        ignition,
        firmware: firmware(common, vars, files.path())?,
        memory: memory.clone(),
    };
    let parts = Parts {
        id,
        dir,
        args: command_line::arguments(&request.spec, &inputs),
        files,
        memory,
        template: None,
        journal: JournalState::default(),
        steps,
    };
    let mut started = start(common, parts, lives).await?;
    started.made().await?;
    Ok(started.finish())
}

/// Makes the directory of a machine's artefacts and returns its absolute path: QEMU takes a relative one from its own
/// working directory, which is ours; but the command is also shown.
pub fn make_dir(group: &Path, id: &str) -> Result<PathBuf, MachineError> {
    let dir = group.join(id);
    fs::create_dir_all(&dir).map_err(|error| file_error("create", &dir, &error))?;
    std::path::absolute(&dir).map_err(|error| file_error("find", &dir, &error))
}

/// Makes the directory of a machine's files.
pub fn machine_files(work: &Path, id: &str) -> Result<MachineFiles, MachineError> {
    let path = work.join(id);
    MachineFiles::create(path.clone()).map_err(|error| file_error("create", &path, &error))
}

/// The firmware's code, and a copy of variables for one machine.
pub fn firmware(
    common: &Common,
    vars: Option<&Path>,
    files: &Path,
) -> Result<Option<FirmwareFiles>, MachineError> {
    let (Some(firmware), Some(vars)) = (&common.firmware, vars) else {
        return Ok(None);
    };
    let copy = files.join(names::FIRMWARE_VARS);
    let write = || -> io::Result<()> {
        fs::write(&copy, fs::read(vars)?) // not its permissions
    };
    write().map_err(|error| file_error("write", &copy, &error))?;
    Ok(Some(FirmwareFiles {
        code: firmware.code.clone(),
        vars: copy,
    }))
}

/// Makes the file for a guest's memory. It has no blocks: the disk is checked for room, but not filled.
fn make_ram(dir: &Path, memory_mib: u64) -> Result<PathBuf, MachineError> {
    check_room(dir, memory_mib)?;
    let path = dir.join(names::RAM);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&path)
        .and_then(|file| file.set_len(memory_mib << 20))
        .map_err(|error| file_error("create", &path, &error))?;
    Ok(path)
}
