//! Making a machine that boots.

use std::ffi::OsString;
use std::fs::{self, File, Permissions};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolea_machine::profile::Profile;
use kolea_machine::ssh::SshKey;
use kolea_machine::{Exec, LaunchRequest, MachineError, Provisioning};
use kolea_model::MachineSpec;
use kolea_serve::CONFIG_PATH;
use tokio::sync::OnceCell;

use crate::arch::Arch;
use crate::boot::{self, BootPartition, Edits};
use crate::by_hand::{ByHand, Ends};
use crate::command_line::{self, Accelerator, Inputs, Memory};
use crate::disk::{check_room, file_error};
use crate::files::{MachineFiles, names};
use crate::firmware::Firmwares;
use crate::hardware::{self, Hardware, Origin, Places, PrivateNic};
use crate::image::Image;
use crate::iso::{self, LiveIso};
use crate::machine::QemuMachine;
use crate::minimal;
use crate::mounts::Transport;
use crate::provision;
use crate::pumps::JournalState;
use crate::pxe;
use crate::serve;
use crate::start::{Lives, Parts, start};
use crate::steps::Steps;
use crate::switch::Switch;
use crate::swtpm::Swtpm;
use crate::templates::Store;
use crate::virtiofsd::Virtiofsd;

/// What all machines of a run have in common.
#[derive(Debug)]
pub struct Common {
    pub arch: Arch,
    pub accelerator: Accelerator,
    pub qemu: PathBuf,
    pub qemu_version: String,
    pub qemu_img: PathBuf,
    pub image: Image,
    pub image_sha256: String,
    /// What machines boot from whose tests say so (`bootFrom`); the image itself if all do.
    pub iso: Option<LiveIso>,
    /// Size of the primary disk of machines whose tests ask for nothing larger, in bytes.
    pub disk: u64,
    /// What machines can be started by, and their types.
    pub firmwares: Firmwares,
    pub profile: Profile,
    pub provisioning: Provisioning,
    pub key: Arc<SshKey>,
    /// This host's virtiofsd, if there is one; looked for when a machine needs it.
    pub virtiofsd: OnceCell<Option<Virtiofsd>>,
    /// What a person wants of the machine that they run themselves.
    pub by_hand: ByHand,
    /// The image's boot file system, looked for when a machine has kernel arguments.
    pub boot: OnceCell<BootPartition>,
    /// The directory of what is taken out of the ISO for machines that boot over the network, once one does.
    pub pxe: OnceCell<PathBuf>,
    /// The minimal ISO, once a machine boots from it.
    pub minimal: OnceCell<PathBuf>,
    /// This host's swtpm, if machines have a TPM.
    pub swtpm: Option<Swtpm>,
}

impl Common {
    /// Size of the primary disk, in bytes: the largest of what the image has, the user gave and the test needs.
    pub fn disk_size(&self, spec: &MachineSpec) -> u64 {
        let needed = spec.disk_gib.unwrap_or(0).saturating_mul(1 << 30);
        needed.max(self.disk)
    }
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
    let steps = Steps::default();
    let places = Places {
        work,
        files: files.path(),
        artefacts: &dir,
    };
    let by_hand = common.by_hand.clone();
    let assembled = assemble(common, &request, places, (&id, &memory), by_hand, &steps).await?;
    let transport = assembled.transport;
    let parts = Parts {
        id,
        dir,
        args: assembled.args,
        files,
        memory,
        template: None,
        late: assembled.late,
        journal: JournalState::default(),
        steps,
        inherited: assembled.hardware.inherited,
        helpers: assembled.hardware.helpers,
        completion: assembled.hardware.completion,
        served: assembled.hardware.served,
    };
    let mut started = start(common, parts, lives).await?;
    match started.made().await {
        // Red Hat builds QEMU without it.
        Err(MachineError::Launch(message)) if transport == Some(Transport::NineP) => {
            Err(MachineError::Launch(format!(
                "{message} (directories of the host are shared by 9p, since there is no virtiofsd here; installing it may help)"
            )))
        }
        Err(error) => Err(error),
        Ok(()) => Ok(started.finish()),
    }
}

/// What QEMU is started with.
struct Assembled {
    /// Its arguments.
    args: Vec<OsString>,
    /// What is behind them, but for the devices.
    hardware: Hardware,
    /// How directories of the host get into the guest.
    transport: Option<Transport>,
    /// What brings the rest of its provisioning over the first connection.
    late: Option<Exec>,
}

/// Makes everything that a machine that boots consists of. `identity`: its UUID, and where its memory is.
async fn assemble(
    common: &Common,
    request: &LaunchRequest,
    places: Places<'_>,
    identity: (&str, &Memory),
    mut by_hand: ByHand,
    steps: &Steps,
) -> Result<Assembled, MachineError> {
    let spec = &request.spec;
    let mut hardware = hardware::make(common, spec, Origin::Image, places, steps).await?;
    plug_in(request, &mut hardware)?;
    serve::start(spec, places, &mut hardware).await?;
    let transport = hardware.devices.transport;
    let provision = serve::with_config(spec, &request.provision);
    let told = provision::machine(common, spec, &provision, transport, places)?;
    if let Some(served) = hardware
        .served
        .as_ref()
        .filter(|_| !told.ignition.is_empty())
    {
        served.site.put(CONFIG_PATH, told.ignition.clone());
    }
    let site = hardware
        .served
        .as_ref()
        .map(|served| Arc::clone(&served.site));
    let site = site.as_deref();
    minimal::prepare(common, spec, places.work, site, steps).await?;
    let origin = Origin::Image;
    iso::insert(
        common,
        spec,
        origin,
        places.files,
        &told.ignition,
        &mut hardware,
        steps,
    )
    .await?;
    if let Some(netboot) = pxe::serve(common, spec, places.work, places.files, site, steps).await? {
        by_hand.netboot = Some(netboot);
    }
    if by_hand.inject {
        let edits = Edits {
            ignition: Some(told.ignition),
            ..Edits::default()
        };
        let disk = places.files.join(names::DISK);
        boot::edit(common, &edits, &disk, places.files, steps).await?;
    }
    let inputs = Inputs {
        arch: common.arch,
        machine_type: common.firmwares.machine_type(spec.firmware).to_owned(),
        accelerator: common.accelerator,
        id: identity.0.to_owned(),
        config: told.config,
        memory: identity.1.clone(),
        ignition_port: common.profile.ignition_journal_port.clone(),
        devices: std::mem::take(&mut hardware.devices),
        by_hand,
    };
    Ok(Assembled {
        args: command_line::arguments(spec, &inputs),
        hardware,
        transport,
        late: told.late,
    })
}

/// Makes the files of a machine in the request's directory, where they stay, and returns the arguments that QEMU starts with
/// from there without us, as often as somebody likes.
pub async fn prepare(
    common: &Common,
    work: &Path,
    request: &LaunchRequest,
) -> Result<Vec<OsString>, MachineError> {
    let id = uuid::Uuid::new_v4().to_string();
    // Nobody else may read what the guest writes.
    fs::create_dir_all(&request.dir)
        .and_then(|()| fs::set_permissions(&request.dir, Permissions::from_mode(0o700)))
        .map_err(|error| file_error("create", &request.dir, &error))?;
    let dir = std::path::absolute(&request.dir)
        .map_err(|error| file_error("find", &request.dir, &error))?;
    let places = Places {
        work,
        files: &dir,
        artefacts: &dir,
    };
    let by_hand = ByHand {
        ends: Ends::Alone,
        ..common.by_hand.clone()
    };
    let steps = Steps::default();
    let identity = (id.as_str(), &Memory::Anonymous);
    let assembled = assemble(common, request, places, identity, by_hand, &steps).await?;
    // What a live system says of itself is heard by nobody then.
    let ours = usize::from(assembled.hardware.completion.is_some());
    let served = assembled.hardware.served.is_some();
    if served || !assembled.hardware.helpers.is_empty() || assembled.hardware.inherited.len() > ours
    {
        return Err(MachineError::Launch(
            "directories of the host, disks on several paths, private networks, servers and TPMs need processes that run beside QEMU, so no command line alone makes such a machine".to_owned(),
        ));
    }
    Ok(assembled.args)
}

/// Connects the machine with its group's network, if it is to have one.
fn plug_in(request: &LaunchRequest, hardware: &mut Hardware) -> Result<(), MachineError> {
    match (&request.network, request.spec.private_network) {
        (None, false) => Ok(()),
        (Some(attachment), true) => {
            let plug = Switch::plug(attachment, &request.spec.hostname)?;
            hardware.devices.network = Some(PrivateNic {
                fd: hardware.inherited.add(plug.socket),
                mac: plug.mac,
            });
            Ok(())
        }
        _ => Err(MachineError::Harness(
            "a machine has a private network, or is to have one, but not both".to_owned(),
        )),
    }
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
