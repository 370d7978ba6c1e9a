//! Making a machine: its files, its pipes, its process.

use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use command_fds::FdMapping;
use kolea_machine::ignition::{HarnessConfig, render};
use kolea_machine::journal::stream_unit;
use kolea_machine::profile::Profile;
use kolea_machine::ssh::{LastError, SshKey, SshTarget};
use kolea_machine::{Down, DownKind, LaunchRequest, MachineError};
use kolea_model::MachineSpec;
use tokio::net::UnixStream;
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use crate::arch::{Arch, FirmwareFiles};
use crate::command_line::{self, Accelerator, Inputs, fds};
use crate::image::Image;
use crate::machine::{Leash, QemuMachine};
use crate::oom::OomCounters;
use crate::pumps::{self, Artifact, Listeners, Tail};
use crate::qmp::Qmp;
use crate::signs::Signs;
use crate::supervisor::{Life, MachineFiles, Supervised, supervise};
use crate::{process, tools};

/// How many lines may wait for their reader.
const LINES: usize = 4096;
/// A connection whose guest is silent for three times this is given up.
const KEEPALIVE: Duration = Duration::from_secs(10);

/// How long a QEMU that closed its monitor may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// What all machines of a run have in common.
#[derive(Debug)]
pub struct Common {
    pub arch: Arch,
    pub accelerator: Accelerator,
    pub qemu: PathBuf,
    pub qemu_img: PathBuf,
    pub image: Image,
    /// The UEFI firmware, if machines have one.
    pub firmware: Option<FirmwareFiles>,
    pub profile: Profile,
    pub key: Arc<SshKey>,
}

/// Starts a machine whose overlay goes to a directory of its own in `work`. Its life is added to `lives`, so that it is known
/// even if this future is dropped.
pub async fn launch(
    common: &Common,
    work: &Path,
    request: LaunchRequest,
    lives: &Mutex<Vec<Arc<Life>>>,
) -> Result<QemuMachine, MachineError> {
    let id = uuid::Uuid::new_v4().to_string();
    let dir = request.dir.join(&id);
    fs::create_dir_all(&dir).map_err(|error| file_error("create", &dir, &error))?;
    let files = MachineFiles(work.join(&id));
    fs::create_dir(&files.0).map_err(|error| file_error("create", &files.0, &error))?;

    let args = prepare(common, &request, &id, &dir, &files.0).await?;
    let (ours, theirs) = channels()?;

    let life = Arc::new(Life::default());
    let leash = Leash(Arc::clone(&life));
    let signs = Arc::<Signs>::default();
    let (lines, receiver) = mpsc::channel(LINES);
    let listeners = Listeners {
        lines,
        signs: Arc::clone(&signs),
    };
    let oom = OomCounters::read();
    let mut child = process::spawn(&common.qemu, &args, theirs)
        .await
        .map_err(|error| {
            MachineError::Launch(format!("{} did not start: {error}", common.qemu.display()))
        })?;
    drop(child.stdout.take()); // nothing is said there
    let stderr = child
        .stderr
        .take()
        .ok_or_else(|| MachineError::Harness("QEMU has no standard error".to_owned()))?;

    let artifact = |name: &str| Artifact::new(dir.join(name));
    let tail = Tail::default();
    let pumps = vec![
        tokio::spawn(pumps::console(
            ours.console,
            artifact("console.txt"),
            listeners.clone(),
        )),
        tokio::spawn(pumps::journal(
            ours.journal,
            artifact("journal.txt"),
            artifact("journal.json"),
            listeners.clone(),
        )),
        tokio::spawn(pumps::ignition(
            ours.ignition,
            artifact("ignition-virtio-dump.txt"),
            listeners,
        )),
    ];
    let (qmp, events) = Qmp::start(ours.monitor);
    let supervised = Supervised {
        child,
        events,
        pumps,
        stderr: tokio::spawn(pumps::stderr(
            stderr,
            artifact("qemu-stderr.txt"),
            tail.clone(),
        )),
        tail: tail.clone(),
        oom,
        files,
        exit_status: dir.join("exit-status.txt"),
    };
    lives
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Arc::clone(&life));
    tokio::spawn(supervise(supervised, Arc::clone(&life)));

    // The monitor answers when the machine has been made; a QEMU that could not make it ends instead.
    let port = match qmp.ssh_port().await {
        Ok(port) => port,
        Err(error) => return Err(start_error(&life, &tail, &error.to_string()).await),
    };
    let address = SocketAddr::from((Ipv4Addr::LOCALHOST, port));
    if let Err(error) = add_ssh_config(&request.dir, &id, address) {
        tracing::warn!("cannot write {}/ssh-config: {error}", request.dir.display());
    }
    Ok(QemuMachine {
        id,
        dir,
        target: SshTarget {
            address,
            user: common.profile.user.clone(),
            key: Arc::clone(&common.key),
            keepalive: KEEPALIVE,
        },
        signs,
        lines: Mutex::new(Some(receiver)),
        session: Mutex::new(None),
        last_error: LastError::default(),
        leash,
    })
}

/// Writes the machine's files and returns QEMU's arguments.
async fn prepare(
    common: &Common,
    request: &LaunchRequest,
    id: &str,
    dir: &Path,
    work: &Path,
) -> Result<Vec<OsString>, MachineError> {
    let config = render(
        &request.provision,
        &HarnessConfig {
            user: &common.profile.user,
            public_key: common.key.public_line(),
            units: vec![stream_unit()],
            files: &common.profile.files,
        },
    );
    // QEMU takes a relative path from its own working directory, which is ours; but the command is also shown.
    let ignition = std::path::absolute(dir.join("ignition.json"))
        .map_err(|error| file_error("find", dir, &error))?;
    fs::write(&ignition, config).map_err(|error| file_error("write", &ignition, &error))?;

    let disk = work.join("disk.qcow2");
    create_overlay(common, &request.spec, &disk).await?;
    let firmware = match &common.firmware {
        None => None,
        Some(template) => {
            let vars = work.join("firmware-vars.fd");
            fs::copy(&template.vars, &vars).map_err(|error| file_error("write", &vars, &error))?;
            Some(FirmwareFiles {
                code: template.code.clone(),
                vars,
            })
        }
    };
    let args = command_line::arguments(
        &request.spec,
        &Inputs {
            arch: common.arch,
            accelerator: common.accelerator,
            id: id.to_owned(),
            disk,
            ignition,
            firmware,
        },
    );
    let mut command = command_line::shell_quoted(common.qemu.as_os_str(), &args);
    command.push('\n');
    let path = dir.join("qemu-command.txt");
    fs::write(&path, command).map_err(|error| file_error("write", &path, &error))?;
    Ok(args)
}

async fn create_overlay(
    common: &Common,
    spec: &MachineSpec,
    disk: &Path,
) -> Result<(), MachineError> {
    let mut args: Vec<OsString> = [
        "create",
        "-q",
        "-f",
        "qcow2",
        "-o",
        "lazy_refcounts=on",
        "-b",
    ]
    .map(OsString::from)
    .to_vec();
    args.push(common.image.path.clone().into());
    args.extend(["-F".into(), common.image.format.clone().into()]);
    args.push(disk.into());
    let wanted = spec.disk_gib.unwrap_or(0).saturating_mul(1 << 30);
    if wanted > common.image.virtual_size {
        args.push(wanted.to_string().into());
    }
    let output = tools::output(&common.qemu_img, args)
        .await
        .map_err(|error| MachineError::Launch(error.to_string()))?;
    if output.status.success() {
        return Ok(());
    }
    let words = tools::last_words(&output.stderr);
    let message = format!("cannot create the overlay {}: {words}", disk.display());
    Err(if words.contains("No space left on device") {
        MachineError::DiskFull(message)
    } else {
        MachineError::Launch(message)
    })
}

/// Our ends of what connects us with QEMU.
struct Channels {
    monitor: UnixStream,
    console: Receiver,
    journal: Receiver,
    ignition: Receiver,
}

/// Makes the channels: our ends, and QEMU's by their numbers.
fn channels() -> Result<(Channels, Vec<FdMapping>), MachineError> {
    let make = || -> io::Result<(Channels, Vec<FdMapping>)> {
        let mut theirs = Vec::new();
        let mut pipe = |child_fd| -> io::Result<Receiver> {
            let (reader, writer) = io::pipe()?;
            theirs.push(FdMapping {
                parent_fd: OwnedFd::from(writer),
                child_fd,
            });
            Receiver::from_owned_fd(OwnedFd::from(reader))
        };
        let (console, journal, ignition) = (
            pipe(fds::CONSOLE)?,
            pipe(fds::JOURNAL)?,
            pipe(fds::IGNITION)?,
        );
        let (monitor, other) = std::os::unix::net::UnixStream::pair()?;
        monitor.set_nonblocking(true)?;
        theirs.push(FdMapping {
            parent_fd: OwnedFd::from(other),
            child_fd: fds::MONITOR,
        });
        let ours = Channels {
            monitor: UnixStream::from_std(monitor)?,
            console,
            journal,
            ignition,
        };
        Ok((ours, theirs))
    };
    make().map_err(|error| MachineError::Harness(format!("cannot make pipes for QEMU: {error}")))
}

/// Why QEMU ended, or refused to talk, before it had made the machine.
async fn start_error(life: &Arc<Life>, tail: &Tail, error: &str) -> MachineError {
    // A monitor that fails without QEMU ending would be our fault.
    let ended = tokio::time::timeout(PATIENCE, life.ended()).await;
    if ended.is_err() {
        life.kill();
        life.ended().await;
        return MachineError::Launch(error.to_owned());
    }
    let down = life.down.borrow().clone();
    match down {
        Some(Down {
            kind: DownKind::Died,
            message,
        }) if message.starts_with("QEMU ended by itself") => {
            MachineError::Launch(tail.last_words().unwrap_or(message))
        }
        Some(down) => MachineError::Down(down),
        None => MachineError::Launch(error.to_owned()),
    }
}

/// kola's file for `ssh -F`; one entry a machine.
fn add_ssh_config(dir: &Path, id: &str, address: SocketAddr) -> io::Result<()> {
    let mut file = fs::File::options()
        .create(true)
        .append(true)
        .open(dir.join("ssh-config"))?;
    let entry = format!(
        "Host {id}\n  HostName {}\n  Port {}\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n",
        address.ip(),
        address.port()
    );
    file.write_all(entry.as_bytes())
}

fn file_error(action: &str, path: &Path, error: &io::Error) -> MachineError {
    let message = format!("cannot {action} {}: {error}", path.display());
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            MachineError::DiskFull(message)
        }
        _ => MachineError::Harness(message),
    }
}
