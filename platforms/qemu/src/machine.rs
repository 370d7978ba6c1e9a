//! A machine in QEMU.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use kolea_machine::ssh::{LastError, SshSession, SshTarget, connect_until_ready_noting};
use kolea_machine::{BootId, Down, Exec, ExecOutput, Line, Machine, MachineError};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::signs::Signs;
use crate::supervisor::Life;

/// A connection that broke since QEMU died is noticed before the death is; this is how long we wait for the latter.
const DEATH_NOTICE: Duration = Duration::from_millis(500);

/// How long a silent guest is tried before it is listened to again.
const TRIAL: Duration = Duration::from_secs(10);

/// Has the process killed when it is dropped.
#[derive(Debug)]
pub struct Leash(pub Arc<Life>);

impl Drop for Leash {
    fn drop(&mut self) {
        self.0.kill();
    }
}

/// A running QEMU process and the way into its guest. Dropping it kills the process.
#[derive(Debug)]
pub struct QemuMachine {
    pub(crate) id: String,
    pub(crate) dir: PathBuf,
    pub(crate) target: SshTarget,
    pub(crate) signs: Arc<Signs>,
    pub(crate) lines: Mutex<Option<mpsc::Receiver<Line>>>,
    pub(crate) session: Mutex<Option<Arc<SshSession>>>,
    pub(crate) last_error: LastError,
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

    fn session(&self) -> Result<Arc<SshSession>, MachineError> {
        let session = self.session.lock().unwrap_or_else(PoisonError::into_inner);
        match session.as_ref() {
            None => Err(MachineError::Ssh("the machine is not ready yet".to_owned())),
            Some(session) if session.is_closed() => {
                Err(MachineError::Ssh("the connection is closed".to_owned()))
            }
            Some(session) => Ok(Arc::clone(session)),
        }
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

    async fn try_exec(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        let session = self.session()?;
        tokio::select! {
            biased;
            output = session.exec(exec) => output,
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
            (session, boot) = self.connect(previous) => {
                let mut slot = self.session.lock().unwrap_or_else(PoisonError::into_inner);
                *slot = Some(Arc::new(session));
                Ok(boot)
            }
            down = self.down() => Err(MachineError::Down(down)),
        }
    }

    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError> {
        match self.try_exec(&exec).await {
            // What looks like SSH's fault may be that of the machine.
            Err(MachineError::Ssh(message)) => match timeout(DEATH_NOTICE, self.down()).await {
                Ok(down) => Err(MachineError::Down(down)),
                Err(_) => Err(MachineError::Ssh(message)),
            },
            result => result,
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

    fn resets(&self) -> watch::Receiver<u32> {
        self.life().resets.subscribe()
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
        self.life().ended().await
    }
}
