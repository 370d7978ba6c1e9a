//! A machine in QEMU.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kolea_machine::agent::{self, AgentChannel};
use kolea_machine::ssh::{LastError, SshSession, SshTarget, connect_until_ready_noting};
use kolea_machine::{
    BootId, Down, Exec, ExecOutput, GuestFacts, Line, Machine, MachineError, Provisioning, RunBy,
    SshLogin, Step, Template,
};
use kolea_serve::Site;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::command_line::{Accelerator, Memory};
use crate::files::SharedFiles;
use crate::pumps::Drain;
use crate::qmp::Qmp;
use crate::said::Search;
use crate::signs::Signs;
use crate::steps::Steps;
use crate::supervisor::Life;
use crate::unplug;

/// A connection that broke since QEMU died is noticed before the death is; this is how long we wait for the latter.
const DEATH_NOTICE: Duration = Duration::from_millis(500);

/// How long a silent guest is tried before it is listened to again.
const TRIAL: Duration = Duration::from_secs(10);

/// How long a guest may go on refusing our key. One that boots lets nobody in but root until it is done with that.
const LOCKED_OUT: Duration = Duration::from_secs(120);
/// How much longer emulated guests may.
const EMULATED: u32 = 5;

/// How long a guest may go on refusing our key.
pub fn locked_out(accelerator: Accelerator) -> Duration {
    match accelerator {
        Accelerator::Kvm => LOCKED_OUT,
        Accelerator::Tcg => LOCKED_OUT * EMULATED,
    }
}

/// Has the process killed when it is dropped.
#[derive(Debug)]
pub struct Leash(pub Arc<Life>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// Ways to ask the readers of what the machine says.
#[derive(Debug)]
pub struct Taps {
    /// Has a pump read what there is.
    pub drains: Vec<mpsc::Sender<Drain>>,
    /// Whether all entries of the journal that have begun have ended.
    pub whole: watch::Receiver<bool>,
}

/// A running QEMU process and the way into its guest. Dropping it kills the process.
#[derive(Debug)]
pub struct QemuMachine {
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    pub(crate) target: SshTarget,
    /// The host's ports that are forwarded to the guest, by the guest's.
    pub(crate) forwards: BTreeMap<u16, u16>,
    pub(crate) signs: Arc<Signs>,
    pub(crate) lines: Mutex<Option<mpsc::Receiver<Line>>>,
    pub(crate) session: Mutex<Option<Arc<SshSession>>>,
    /// Held while a connection is made that nobody asked for before.
    pub(crate) connecting: tokio::sync::Mutex<()>,
    pub(crate) last_error: LastError,
    /// How long the guest may go on refusing our key.
    pub(crate) locked_out: Duration,
    pub(crate) steps: Steps,
    pub(crate) agent: Arc<AgentChannel>,
    pub(crate) qmp: Qmp,
    pub(crate) files: SharedFiles,
    pub(crate) memory: Memory,
    pub(crate) taps: Taps,
    /// What it is a clone of.
    pub(crate) template: Option<Arc<dyn Template>>,
    /// What is brought to it over its first connection.
    pub(crate) late: Option<Exec>,
    /// Set when that was done.
    pub(crate) provisioned: tokio::sync::OnceCell<()>,
    pub(crate) provisioning: Provisioning,
    /// Whether it is a clone whose clock, random numbers and keys are its own.
    pub(crate) woken: AtomicBool,
    pub(crate) site: Option<Arc<Site>>,
    pub(crate) leash: Leash,
}

impl QemuMachine {
    fn life(&self) -> &Life {
        &self.leash.0
    }

    /// Where the guest's SSH server can be reached on this host.
    pub fn ssh_address(&self) -> SocketAddr {
        self.target.address
    }

    /// Why the guest does not let us in yet, if it was tried.
    pub fn last_ssh_error(&self) -> Option<String> {
        self.last_error.get()
    }

    /// The connection that commands go over. A clone's is made when the first command needs it.
    async fn session(&self) -> Result<Arc<SshSession>, MachineError> {
        if let Some(session) = self.current_session() {
            return session;
        }
        let mut resets = self.resets();
        let awake = self.woken.load(Ordering::Acquire) && *resets.borrow() == 0;
        if !awake {
            return Err(MachineError::Ssh("the machine is not ready yet".to_owned()));
        }
        let _alone = self.connecting.lock().await;
        if let Some(session) = self.current_session() {
            return session;
        }
        tokio::select! {
            biased;
            _ = resets.wait_for(|count| *count > 0) => {
                Err(MachineError::Ssh("the guest was reset".to_owned()))
            }
            (session, _) = self.connect(None) => Ok(self.keep(session)),
        }
    }

    fn current_session(&self) -> Option<Result<Arc<SshSession>, MachineError>> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        let session = session.as_ref()?;
        Some(if session.is_closed() {
            Err(MachineError::Ssh("the connection is closed".to_owned()))
        } else {
            Ok(Arc::clone(session))
        })
    }

    fn keep(&self, session: SshSession) -> Arc<SshSession> {
        let session = Arc::new(session);
        let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        *slot = Some(Arc::clone(&session));
        session
    }

    /// Whether this is a clone that nobody has spoken with yet.
    fn sleeping(&self) -> Option<&GuestFacts> {
        let asleep = !self.woken.load(Ordering::Acquire) && *self.resets().borrow() == 0;
        self.template
            .as_ref()
            .filter(|_| asleep)
            .map(|template| template.guest())
    }

    /// The first contact with a clone. Only its agent can make it a machine of its own: our key is not in it yet.
    async fn wake(&self, guest: &GuestFacts) -> Result<BootId, MachineError> {
        let first_contact = async {
            self.agent.exec(&agent::rouse(guest)).await?;
            // The clock is set to the time of this line.
            let wake = agent::wake(guest, self.target.key.public_line());
            agent::woken(guest, &self.agent.exec(&wake).await?)
        };
        let boot = first_contact.await.map_err(|error| {
            MachineError::Guest(format!(
                "the clone's agent (kolet-agent.service) did not wake it: {error}"
            ))
        })?;
        self.woken.store(true, Ordering::Release);
        Ok(boot)
    }

    async fn ready(&self, previous: Option<&BootId>) -> Result<BootId, MachineError> {
        if previous.is_none()
            && let Some(guest) = self.sleeping()
        {
            return self.steps.time("wake", self.wake(guest)).await;
        }
        // Whatever happened to the guest, the agent is not expected to have outlived it.
        if self.template.is_some() {
            self.agent.give_up();
        }
        let (session, boot) = tokio::select! {
            biased;
            connected = self.connect(previous) => connected,
            error = self.locked_out() => return Err(error),
        };
        let session = self.keep(session);
        if let Some(late) = &self.late {
            let bring = self.bring(&session, late);
            self.provisioned.get_or_try_init(|| bring).await?;
        }
        Ok(boot)
    }

    /// Ends when the guest has refused our key for so long that it is not only since it boots.
    async fn locked_out(&self) -> MachineError {
        // Ignition either does what it is told, or says what is wrong and lets the boot fail.
        if self.provisioning == Provisioning::Ignition {
            return std::future::pending().await;
        }
        self.last_error.locked_out(self.locked_out).await;
        MachineError::Guest(format!(
            "the image does not let us in as user `{}`: its SSH server goes on refusing our key; {}",
            self.target.user,
            self.provisioning.missing_key()
        ))
    }

    async fn bring(&self, session: &SshSession, late: &Exec) -> Result<(), MachineError> {
        let output = self.steps.time("provision", session.exec(late)).await?;
        agent::arrived(&output, &self.target.user)
    }

    /// Goes on trying to log in, but not before there is a reason to: QEMU's user network accepts connections in the guest's
    /// place, keeps those that we give up for more than a minute, and hands all of them to the guest as soon as it has an
    /// address. An emulated sshd is busy for minutes with a backlog of attempts that came before it.
    async fn connect(&self, previous: Option<&BootId>) -> (SshSession, BootId) {
        loop {
            let started = self.signs.sshd(previous).await;
            let ready = connect_until_ready_noting(
                &self.target,
                &self.signs.kick,
                previous,
                &self.last_error,
            );
            if started {
                return ready.await;
            }
            if let Ok(ready) = timeout(TRIAL, ready).await {
                return ready;
            }
        }
    }

    /// The machine's end, if an error turns out to come from that.
    async fn cause(&self, error: MachineError) -> MachineError {
        match timeout(DEATH_NOTICE, self.down()).await {
            Ok(down) => MachineError::Down(down),
            Err(_) => error,
        }
    }

    async fn try_exec(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        let work = async {
            let served = self.woken.load(Ordering::Acquire) && self.agent.is_idle();
            if exec.by != RunBy::User && served {
                self.agent.exec(exec).await
            } else {
                self.session().await?.exec(exec).await
            }
        };
        tokio::select! {
            biased;
            output = work => output,
            down = self.down() => Err(MachineError::Down(down)),
        }
    }
}

/// Waits until there is a value.
async fn known<T: Clone>(mut watched: watch::Receiver<Option<T>>) -> Option<T> {
    watched.wait_for(Option::is_some).await.ok()?.clone()
}

#[async_trait]
impl Machine for QemuMachine {
    fn id(&self) -> &str {
        &self.id
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    async fn wait_ready(&self, previous: Option<&BootId>) -> Result<BootId, MachineError> {
        tokio::select! {
            biased;
            ready = self.ready(previous) => match ready {
                // What looks like the agent's fault may be that of the machine.
                Err(error) => Err(self.cause(error).await),
                ready => ready,
            },
            down = self.down() => Err(MachineError::Down(down)),
        }
    }

    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError> {
        match self.try_exec(&exec).await {
            // What looks like SSH's fault may be that of the machine.
            Err(error @ MachineError::Ssh(_)) => Err(self.cause(error).await),
            result => result,
        }
    }

    async fn wait_said(&self, text: &str) -> Result<(), MachineError> {
        let failed = |error: std::io::Error| {
            MachineError::Harness(format!("cannot read what the machine said: {error}"))
        };
        let mut heard = self.signs.heard();
        let mut search = Search::new(&self.dir, text);
        loop {
            if search.found().map_err(failed)? {
                return Ok(());
            }
            tokio::select! {
                // The sender is ours and lives as long as we do.
                _ = heard.changed() => {}
                down = self.down() => return Err(MachineError::Down(down)),
            }
        }
    }

    async fn down(&self) -> Down {
        match known(self.life().down.subscribe()).await {
            Some(down) => down,
            // The sender is ours and lives as long as we do.
            None => std::future::pending().await,
        }
    }

    fn take_lines(&self) -> Option<mpsc::Receiver<Line>> {
        self.lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    fn take_steps(&self) -> Vec<Step> {
        self.steps.take()
    }

    fn resets(&self) -> watch::Receiver<u32> {
        self.life().resets.subscribe()
    }

    async fn remove_disk(&self, id: &str) -> Result<(), MachineError> {
        unplug::remove_disk(self, id).await
    }

    fn ssh_login(&self) -> Option<SshLogin> {
        Some(SshLogin {
            host: self.target.address.ip().to_string(),
            port: self.target.address.port(),
            user: self.target.user.clone(),
            private_key: self.target.key.private_openssh(),
        })
    }

    fn host_address(&self, guest_port: u16) -> Option<SocketAddr> {
        let port = self.forwards.get(&guest_port)?;
        Some(SocketAddr::from((Ipv4Addr::LOCALHOST, *port)))
    }

    fn site(&self) -> Option<Arc<Site>> {
        self.site.clone()
    }

    async fn stop(&self) -> String {
        self.life().kill();
        // Lines that nobody took must not keep the pumps from ending.
        drop(self.take_lines());
        let session = self
            .session
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take();
        drop(session);
        self.agent.give_up();
        self.life().ended().await
    }
}
