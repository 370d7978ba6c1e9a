//! Times what is done with a machine, for traces.

use std::future::Future;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use chrono::{DateTime, Utc};
use kolea_machine::{BootId, Down, Exec, ExecOutput, Line, Machine, MachineError, SshLogin, Step};
use kolea_model::EventKind;
use kolea_serve::Site;
use tokio::sync::{mpsc, watch};
use tokio::time::Instant;

use crate::EventSender;

/// A machine whose every command is told as [`EventKind::MachineStep`] when it has ended.
#[derive(Debug)]
pub(crate) struct Traced {
    machine: Arc<dyn Machine>,
    /// Its group.
    owner: String,
    events: EventSender,
    /// Whether the last command did not come to its end.
    failed: AtomicBool,
}

impl Traced {
    pub fn new(machine: Arc<dyn Machine>, owner: &str, events: EventSender) -> Arc<Self> {
        Arc::new(Traced {
            machine,
            owner: owner.to_owned(),
            events,
            failed: AtomicBool::new(false),
        })
    }

    /// Whether the machine got in the way of the last command.
    pub fn failed(&self) -> bool {
        self.failed.load(Ordering::Relaxed)
    }

    /// The machine itself, for the platform that made it.
    pub fn inner(&self) -> Arc<dyn Machine> {
        Arc::clone(&self.machine)
    }

    /// Tells what the platform did on the machine's behalf since the last time, and returns it.
    pub fn flush(&self) -> Vec<Step> {
        let steps = self.machine.take_steps();
        for step in &steps {
            self.tell(step.name.clone(), step.began, step.seconds);
        }
        steps
    }

    fn tell(&self, step: String, began: DateTime<Utc>, seconds: f64) {
        self.events.send(EventKind::MachineStep {
            machine: self.machine.id().to_owned(),
            owner: self.owner.clone(),
            step,
            began,
            seconds,
        });
    }

    async fn timed<T>(&self, step: impl FnOnce() -> String, work: impl Future<Output = T>) -> T {
        let (began, start) = (Utc::now(), Instant::now());
        let done = work.await;
        self.flush();
        self.tell(step(), began, start.elapsed().as_secs_f64());
        done
    }
}

#[async_trait::async_trait]
impl Machine for Traced {
    fn id(&self) -> &str {
        self.machine.id()
    }

    fn dir(&self) -> &Path {
        self.machine.dir()
    }

    async fn wait_ready(&self, previous: Option<&BootId>) -> Result<BootId, MachineError> {
        self.timed(
            || "wait-ready".to_owned(),
            self.machine.wait_ready(previous),
        )
        .await
    }

    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError> {
        let label = exec.label;
        let done = self
            .timed(|| format!("exec {label}"), self.machine.exec(exec))
            .await;
        self.failed.store(done.is_err(), Ordering::Relaxed);
        done
    }

    async fn remove_disk(&self, id: &str) -> Result<(), MachineError> {
        let done = self
            .timed(|| format!("remove-disk {id}"), self.machine.remove_disk(id))
            .await;
        self.failed.store(done.is_err(), Ordering::Relaxed);
        done
    }

    async fn wait_said(&self, text: &str) -> Result<(), MachineError> {
        self.timed(|| "wait-said".to_owned(), self.machine.wait_said(text))
            .await
    }

    async fn down(&self) -> Down {
        self.machine.down().await
    }

    fn take_lines(&self) -> Option<mpsc::Receiver<Line>> {
        self.machine.take_lines()
    }

    fn take_steps(&self) -> Vec<Step> {
        self.machine.take_steps()
    }

    fn resets(&self) -> watch::Receiver<u32> {
        self.machine.resets()
    }

    fn ssh_login(&self) -> Option<SshLogin> {
        self.machine.ssh_login()
    }

    fn host_address(&self, guest_port: u16) -> Option<SocketAddr> {
        self.machine.host_address(guest_port)
    }

    fn site(&self) -> Option<Arc<Site>> {
        self.machine.site()
    }

    async fn stop(&self) -> String {
        self.timed(|| "stop".to_owned(), self.machine.stop()).await
    }
}
