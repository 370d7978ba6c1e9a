//! Starting QEMU and everything that reads from it.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io::{self, Write};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use kolea_machine::agent::AgentChannel;
use kolea_machine::ssh::{LastError, SshTarget};
use kolea_machine::{BootId, Down, DownKind, Exec, MachineError, Template};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use crate::by_hand::Ends;
use crate::channels::channels;
use crate::command_line::{self, Memory};
use crate::disk::file_error;
use crate::files::{MachineFiles, SharedFiles};
use crate::hardware::Inherited;
use crate::helper::Helper;
use crate::launch::Common;
use crate::machine::{self, Leash, QemuMachine, Taps};
use crate::oom::OomCounters;
use crate::process;
use crate::pumps::{self, Artifact, JournalState, Listeners, Tail};
use crate::qmp::{Qmp, QmpError, SSH_PORT};
use crate::said;
use crate::serve::Served;
use crate::signs::Signs;
use crate::steps::Steps;
use crate::supervisor::{Life, Supervised, supervise};

/// How many lines may wait for their reader.
const LINES: usize = 4096;
/// A connection whose guest is silent for three times this is given up.
const KEEPALIVE: Duration = Duration::from_secs(10);
/// How long a QEMU that closed its monitor may take to end.
const PATIENCE: Duration = Duration::from_secs(5);

/// All machines of a run whose process may still be there.
pub type Lives = Mutex<Vec<Arc<Life>>>;

/// What one machine is made of.
#[derive(Debug)]
pub struct Parts {
    /// Its UUID.
    pub id: String,
    /// The directory of its artefacts.
    pub dir: PathBuf,
    /// QEMU's arguments.
    pub args: Vec<OsString>,
    /// Its files.
    pub files: MachineFiles,
    /// Where its memory is.
    pub memory: Memory,
    /// What it is a clone of.
    pub template: Option<Arc<dyn Template>>,
    /// What is brought to it over its first connection, if anything is.
    pub late: Option<Exec>,
    /// Where its journal begins.
    pub journal: JournalState,
    /// What was done for it so far.
    pub steps: Steps,
    /// What QEMU inherits besides its channels.
    pub inherited: Inherited,
    /// The processes that it can't do without.
    pub helpers: Vec<Helper>,
    /// What the guest says on port `testisocompletion`.
    pub completion: Option<Receiver>,
    /// Its own server.
    pub served: Option<Served>,
}

/// A machine whose process has been started; it is not known yet whether that went well.
#[derive(Debug)]
pub struct Started {
    machine: QemuMachine,
    tail: Tail,
}

/// Starts the process. Its life is added to `lives`, so that it is known even if this future is dropped.
pub async fn start(
    common: &Common,
    mut parts: Parts,
    lives: &Lives,
) -> Result<Started, MachineError> {
    let mut command = command_line::shell_quoted(common.qemu.as_os_str(), &parts.args);
    command.push('\n');
    let path = parts.dir.join("qemu-command.txt");
    fs::write(&path, command).map_err(|error| file_error("write", &path, &error))?;
    let (ours, mut theirs) = channels()?;
    let helpers = std::mem::take(&mut parts.helpers);
    theirs.extend(std::mem::take(&mut parts.inherited).mappings());

    let served = parts.served.take();
    let (site, server) = served.map(|served| (served.site, served.server)).unzip();
    let life = Arc::new(Life::default());
    let leash = Leash(Arc::clone(&life));
    let signs = Arc::new(match &parts.template {
        Some(template) => {
            let boot = BootId(template.guest().boot_id.clone());
            Signs::of_running(&common.profile.sshd_unit, &boot)
        }
        None => Signs::new(&common.profile.sshd_unit),
    });
    let (lines, receiver) = mpsc::channel(LINES);
    let listeners = Listeners {
        lines,
        signs: Arc::clone(&signs),
    };
    let oom = OomCounters::read();
    let spawned = match common.by_hand.ends {
        Ends::Terminal => process::spawn_on_terminal(&common.qemu, &parts.args, theirs).await,
        _ => process::spawn(&common.qemu, &parts.args, theirs).await,
    };
    let mut child = spawned.map_err(|error| {
        MachineError::Launch(format!("{} did not start: {error}", common.qemu.display()))
    })?;
    drop(child.stdout.take()); // nothing is said there
    let stderr = child
        .stderr
        .take()
        .ok_or_else(|| MachineError::Harness("QEMU has no standard error".to_owned()))?;

    let seams = Seams::new(&parts);
    let artifact = |name: &str| seams.artifact(&parts.dir, name);
    let tail = Tail::default();
    let journal = pumps::Journal::new(
        artifact("journal.txt"),
        artifact("journal.json"),
        listeners.clone(),
        parts.journal,
    );
    let whole = journal.whole();
    let kept = match &common.by_hand.ends {
        Ends::File(path) => Artifact::new(path.clone()),
        _ => artifact("console.txt"),
    };
    let console = pumps::Console::new(kept, listeners.clone());
    let dump = parts.dir.join("ignition-virtio-dump.txt");
    let ignition = pumps::Ignition::new(Artifact::new(dump), listeners.clone());
    let mut drains = Vec::new();
    let mut requests = || {
        let (sender, receiver) = mpsc::channel(1);
        drains.push(sender);
        receiver
    };
    let mut pumps = vec![
        tokio::spawn(pumps::pump(ours.console, console, requests())),
        tokio::spawn(pumps::pump(ours.journal, journal, requests())),
        tokio::spawn(pumps::pump(ours.ignition, ignition, requests())),
    ];
    if let Some(pipe) = parts.completion {
        let completion = Artifact::new(parts.dir.join(said::COMPLETION));
        let completion = pumps::Completion::new(completion, listeners);
        pumps.push(tokio::spawn(pumps::pump(pipe, completion, requests())));
    }
    let (qmp, events) = Qmp::start(ours.monitor);
    let files = SharedFiles::new(parts.files);
    let words = Artifact::new(parts.dir.join("qemu-stderr.txt"));
    let agent = Arc::new(AgentChannel::new(ours.agent));
    let supervised = Supervised {
        child,
        helpers,
        events,
        pumps,
        stderr: tokio::spawn(pumps::stderr(stderr, Some(words), tail.clone())),
        tail: tail.clone(),
        oom,
        files: files.clone(),
        memory: parts.memory.clone(),
        template: parts.template.clone(),
        server,
        agent: parts.template.is_some().then(|| Arc::clone(&agent)),
        exit_status: parts.dir.join("exit-status.txt"),
    };
    lives
        .lock()
        .unwrap_or_else(PoisonError::into_inner)
        .push(Arc::clone(&life));
    tokio::spawn(supervise(supervised, Arc::clone(&life)));
    let machine = QemuMachine {
        id: parts.id,
        dir: parts.dir,
        target: SshTarget {
            // The port is asked for when the monitor answers.
            address: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            user: common.profile.user.clone(),
            key: Arc::clone(&common.key),
            keepalive: KEEPALIVE,
        },
        forwards: BTreeMap::new(),
        signs,
        lines: Mutex::new(Some(receiver)),
        session: Mutex::new(None),
        connecting: tokio::sync::Mutex::default(),
        last_error: LastError::default(),
        locked_out: machine::locked_out(common.accelerator),
        steps: parts.steps,
        agent,
        qmp,
        files,
        site,
        memory: parts.memory,
        taps: Taps { drains, whole },
        template: parts.template,
        late: parts.late,
        provisioned: tokio::sync::OnceCell::new(),
        provisioning: common.provisioning,
        woken: AtomicBool::new(false),
        leash,
    };
    Ok(Started { machine, tail })
}

impl Started {
    /// The machine, for what has to be done before it is finished.
    pub fn machine(&self) -> &QemuMachine {
        &self.machine
    }

    /// Waits until the monitor answers, which is when the machine has been made; a QEMU that could not make it ends instead.
    pub async fn made(&mut self) -> Result<(), MachineError> {
        match self.machine.qmp.forwards().await {
            Ok(forwards) => {
                let port = forwards.get(&SSH_PORT).copied().unwrap_or_default();
                self.machine.target.address.set_port(port);
                self.machine.forwards = forwards;
                Ok(())
            }
            Err(error) => Err(self.failed(&error).await),
        }
    }

    /// Why QEMU ended, or refused, before it had made the machine.
    pub async fn failed(&self, error: &QmpError) -> MachineError {
        let life = &self.machine.leash.0;
        // A monitor that fails without QEMU ending would be our fault.
        let ended = match error {
            QmpError::Closed => tokio::time::timeout(PATIENCE, life.ended()).await.is_ok(),
            QmpError::Refused { .. } => false,
        };
        if !ended {
            life.kill();
            life.ended().await;
            return MachineError::Launch(error.to_string());
        }
        let down = life.down.borrow().clone();
        match down {
            Some(Down {
                kind: DownKind::Died,
                message,
            }) if message.starts_with("QEMU ended by itself") => {
                MachineError::Launch(self.tail.last_words().unwrap_or(message))
            }
            Some(down) => MachineError::Down(down),
            None => MachineError::Launch(error.to_string()),
        }
    }

    /// The machine, with its entry in the `ssh-config` of its group's directory.
    pub fn finish(self) -> QemuMachine {
        let machine = self.machine;
        if let Some(group) = machine.dir.parent()
            && let Err(error) = add_ssh_config(group, &machine.id, machine.target.address)
        {
            tracing::warn!("cannot write {}/ssh-config: {error}", group.display());
        }
        machine
    }
}

/// The artefacts of a clone begin with those of its template.
struct Seams {
    template: Option<Arc<dyn Template>>,
    text: String,
    json: String,
}

impl Seams {
    fn new(parts: &Parts) -> Seams {
        let now = chrono::Utc::now();
        let (text, boot) = match &parts.template {
            None => (String::new(), String::new()),
            Some(template) => (
                format!(
                    "-- clone of template {} started at {} --",
                    template.key(),
                    now.format("%Y-%m-%dT%H:%M:%SZ")
                ),
                template.guest().boot_id.replace('-', ""),
            ),
        };
        let json = serde_json::json!({
            "__REALTIME_TIMESTAMP": now.timestamp_micros().to_string(),
            "_BOOT_ID": boot,
            "SYSLOG_IDENTIFIER": "kolea",
            "MESSAGE": text,
        });
        Seams {
            template: parts.template.clone(),
            text,
            json: format!("{json}\n"),
        }
    }

    fn artifact(&self, dir: &Path, name: &str) -> Artifact {
        let path = dir.join(name);
        let Some(template) = &self.template else {
            return Artifact::new(path);
        };
        let text = &self.text;
        // A console may stop in the middle of a line.
        let seam = match name {
            "journal.json" => self.json.clone(),
            "console.txt" => format!("\n{text}\n"),
            _ => format!("{text}\n"),
        };
        Artifact::after(path, &template.dir().join(name), &seam)
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
