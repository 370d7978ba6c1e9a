//! What a machine has besides CPUs and memory: the files and processes behind its devices, and what QEMU inherits of them.

use std::fs;
use std::os::fd::OwnedFd;
use std::path::Path;

use command_fds::FdMapping;
use kolea_machine::MachineError;
use kolea_model::MachineSpec;
use kolea_serve::ServerAddresses;
use tokio::net::unix::pipe::Receiver;

use crate::command_line::fds;
use crate::disk::file_error;
use crate::drives::{self, Drive};
use crate::files::names;
use crate::firmware::Uefi;
use crate::helper::Helper;
use crate::iso::Cd;
use crate::launch::Common;
use crate::mounts::{Transport, share};
use crate::nbd;
use crate::serve::Served;
use crate::steps::Steps;

/// What a machine's disks and its firmware's variables begin with.
#[derive(Clone, Copy, Debug)]
pub enum Origin<'a> {
    /// The run's image.
    Image,
    /// The template in that directory.
    Template(&'a Path),
}

/// Where a machine's things go.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// The run's directory, for trials.
    pub work: &'a Path,
    /// The directory of the machine's files, which end with it, or become a template's.
    pub files: &'a Path,
    /// That of its artefacts.
    pub artefacts: &'a Path,
}

/// The devices of a machine, as the command line names them. Numbers are those of descriptors in QEMU.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Devices {
    /// Disks in the guest's order.
    pub drives: Vec<Drive>,
    /// The live ISO that it boots from.
    pub cd: Option<Cd>,
    /// The pipe behind port `testisocompletion`.
    pub completion: Option<i32>,
    /// UEFI, with this machine's own copy of the variables.
    pub firmware: Option<Uefi>,
    /// The control socket of a TPM.
    pub tpm: Option<i32>,
    /// The interface in the private network.
    pub network: Option<PrivateNic>,
    /// The way to the machine's own server.
    pub server: Option<Relayed>,
    /// How directories of the host get into the guest; none do without.
    pub transport: Option<Transport>,
    /// The sockets of those directories' servers, in order, if they have any.
    pub mounts: Vec<i32>,
}

/// An interface in a private network.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrivateNic {
    /// The socket that frames go through.
    pub fd: i32,
    /// Its address, as the guest sees it.
    pub mac: String,
}

/// How the machine's own server is reached: QEMU starts that program for each connection, with those addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Relayed {
    /// The program. It needs no quotes.
    pub program: String,
    /// Where the server listens.
    pub addresses: ServerAddresses,
}

/// The descriptors that QEMU inherits besides the fixed ones.
#[derive(Debug, Default)]
pub struct Inherited(Vec<OwnedFd>);

impl Inherited {
    /// Has QEMU inherit one more; returns its number there.
    pub fn add(&mut self, fd: OwnedFd) -> i32 {
        let number = i32::try_from(self.0.len()).unwrap_or(i32::MAX);
        self.0.push(fd);
        fds::OTHERS.saturating_add(number)
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// All of them with their numbers.
    pub fn mappings(self) -> impl Iterator<Item = FdMapping> {
        self.0
            .into_iter()
            .zip(fds::OTHERS..)
            .map(|(parent_fd, child_fd)| FdMapping {
                parent_fd,
                child_fd,
            })
    }
}

/// Devices, with what serves them.
#[derive(Debug, Default)]
pub struct Hardware {
    /// What the command line names.
    pub devices: Devices,
    /// What QEMU inherits.
    pub inherited: Inherited,
    /// The processes that the machine can't do without.
    pub helpers: Vec<Helper>,
    /// What the guest says on port `testisocompletion`.
    pub completion: Option<Receiver>,
    /// The machine's own server.
    pub served: Option<Served>,
}

/// Makes all of a machine's devices.
pub async fn make(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    places: Places<'_>,
    steps: &Steps,
) -> Result<Hardware, MachineError> {
    let mut hardware = Hardware::default();
    share(common, &spec.mounts, places, &mut hardware).await?;
    hardware.devices.drives = drives::make(common, spec, origin, places.files, steps).await?;
    nbd::serve(places, &mut hardware).await?;
    hardware.devices.firmware = firmware(common, spec, origin, places.files)?;
    tpm(common, spec, places.files, &mut hardware).await?;
    Ok(hardware)
}

/// The firmware, with a copy of the variables for this machine.
fn firmware(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    files: &Path,
) -> Result<Option<Uefi>, MachineError> {
    let found = common
        .firmwares
        .files(spec.firmware)
        .map_err(|error| MachineError::Launch(error.to_string()))?;
    let Some(uefi) = found else {
        return Ok(None);
    };
    let vars = match origin {
        Origin::Image => uefi.vars.path.clone(),
        Origin::Template(dir) => dir.join(names::FIRMWARE_VARS),
    };
    let mut own = uefi.clone();
    own.vars.path = files.join(names::FIRMWARE_VARS);
    fs::read(vars)
        .and_then(|bytes| fs::write(&own.vars.path, bytes)) // not its permissions
        .map_err(|error| file_error("write", &own.vars.path, &error))?;
    Ok(Some(own))
}

/// Starts the TPM, if the machine is to have one.
async fn tpm(
    common: &Common,
    spec: &MachineSpec,
    files: &Path,
    hardware: &mut Hardware,
) -> Result<(), MachineError> {
    if !spec.tpm {
        return Ok(());
    }
    let swtpm = common.swtpm.as_ref().ok_or_else(|| {
        MachineError::Launch("there is no swtpm for the machine's TPM".to_owned())
    })?;
    let (helper, socket) = swtpm.start(files).await?;
    hardware.helpers.push(helper);
    hardware.devices.tpm = Some(hardware.inherited.add(socket));
    Ok(())
}
