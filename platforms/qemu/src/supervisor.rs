//! Watching one QEMU process from its start to its end, and telling why it ended.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::process::ExitStatusExt;
use std::path::PathBuf;
use std::process::ExitStatus;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use kolea_machine::agent::{AGENT_PORT, AgentChannel};
use kolea_machine::{Down, DownKind, Template};
use kolea_serve::Server;
use nix::sys::signal::Signal;
use tokio::process::Child;
use tokio::sync::{Notify, mpsc, watch};
use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep_until, timeout};

use crate::command_line::Memory;
use crate::files::SharedFiles;
use crate::helper::{Helper, HelperEnd, first_end};
use crate::oom::OomCounters;
use crate::pumps::Tail;
use crate::qmp::QmpEvent;

/// The signal's number.
const SIGBUS: i32 = Signal::SIGBUS as i32;

/// How long what a dead process has left in its pipes may take to be read: a reader of the lines that stalls must not
/// keep the machine from ending.
const DRAIN: Duration = Duration::from_secs(10);
/// Helpers end with QEMU, as QEMU may with one of them. What ends the other within this is a consequence of it.
const TOGETHER: Duration = Duration::from_secs(1);

/// What is known of a machine's life; shared by the machine and its supervisor.
#[derive(Debug, Default)]
pub struct Life {
    /// Why the machine can't go on.
    pub down: watch::Sender<Option<Down>>,
    /// How the process ended, in one line. Set when it is reaped, its files are gone and its output has been read.
    pub exit: watch::Sender<Option<String>>,
    /// Resets so far.
    pub resets: watch::Sender<u32>,
    /// How far the saving or loading of its state is, in QEMU's words; empty at first.
    pub migration: watch::Sender<String>,
    /// The devices that were to be removed, by their paths in QEMU's tree of objects, and whether they are gone.
    pub unplugged: watch::Sender<BTreeMap<String, bool>>,
    /// Whether we ended it.
    stopping: AtomicBool,
    kill: Notify,
}

impl Life {
    /// Has the process killed. SIGKILL: whatever it wrote is thrown away.
    pub fn kill(&self) {
        self.stopping.store(true, Ordering::Release);
        self.kill.notify_one();
    }

    /// Notes that we have asked the process to end by itself.
    pub fn expect_end(&self) {
        self.stopping.store(true, Ordering::Release);
    }

    /// Whether the process is still there and nobody has asked for its end.
    pub fn is_left_running(&self) -> bool {
        self.exit.borrow().is_none() && !self.stopping.load(Ordering::Acquire)
    }

    /// Waits until the process is reaped, its files are gone and its output has been read; returns how it ended.
    pub async fn ended(&self) -> String {
        let mut exit = self.exit.subscribe();
        let known = exit.wait_for(Option::is_some).await;
        known
            .ok()
            .and_then(|exit| exit.clone())
            .unwrap_or_else(|| "its end was not seen".to_owned())
    }

    fn set_down(&self, down: Down) {
        self.down.send_if_modified(|known| {
            let first = known.is_none();
            known.get_or_insert(down);
            first
        });
    }
}

/// What a supervisor takes care of.
#[derive(Debug)]
pub struct Supervised {
    /// The process.
    pub child: Child,
    /// Those that serve it.
    pub helpers: Vec<Helper>,
    /// What QEMU tells.
    pub events: mpsc::UnboundedReceiver<QmpEvent>,
    /// The pumps of console and journal.
    pub pumps: Vec<JoinHandle<()>>,
    /// The pump of standard error.
    pub stderr: JoinHandle<()>,
    /// What it pumped last.
    pub tail: Tail,
    /// The counters from before the process was started.
    pub oom: OomCounters,
    /// What only the process needs (disk, firmware variables); removed with it.
    pub files: SharedFiles,
    /// Where the guest's memory is.
    pub memory: Memory,
    /// What it was cloned from, which has to stay for as long as the process does.
    pub template: Option<Arc<dyn Template>>,
    /// What serves it alone.
    pub server: Option<Server>,
    /// The channel of an agent that does not survive a reset.
    pub agent: Option<Arc<AgentChannel>>,
    /// Where the end is noted.
    pub exit_status: PathBuf,
}

/// Watches until the process has ended and everything that belongs to it is gone.
pub async fn supervise(mut supervised: Supervised, life: Arc<Life>) {
    let mut guest_shutdown = false;
    let mut monitored = true;
    let mut lost: Option<(HelperEnd, Instant)> = None;
    let status = loop {
        let helpers = &mut supervised.helpers;
        let patience = lost.as_ref().map(|(_, end)| *end + TOGETHER);
        tokio::select! {
            event = supervised.events.recv(), if monitored => match event {
                Some(event) => guest_shutdown |= note(event, &life, supervised.agent.as_deref()),
                None => monitored = false,
            },
            status = supervised.child.wait() => break status,
            end = first_end(helpers), if lost.is_none() => lost = Some((end, Instant::now())),
            () = sleep_until(patience.unwrap_or_else(Instant::now)), if patience.is_some() && life.down.borrow().is_none() => {
                if let Some((end, _)) = &lost {
                    life.set_down(lost_helper(end));
                }
            }
            () = life.kill.notified() => {
                if let Err(error) = supervised.child.start_kill() {
                    tracing::warn!("cannot kill QEMU: {error}");
                }
            }
        }
    };
    // The process is dead: its last words come at once, and then the pipes and the monitor end.
    let rest = async {
        while let Some(event) = supervised.events.recv().await {
            guest_shutdown |= note(event, &life, supervised.agent.as_deref());
        }
        (&mut supervised.stderr).await
    };
    let _ = timeout(DRAIN, rest).await;
    let stopping = life.stopping.load(Ordering::Acquire);
    let lost = match lost {
        Some((end, _)) => Some(end),
        None if stopping || supervised.helpers.is_empty() => None,
        None => timeout(TOGETHER, first_end(&mut supervised.helpers))
            .await
            .ok(),
    };
    if let Some(end) = lost.filter(|end| !end.success && !stopping) {
        life.set_down(lost_helper(&end));
    }
    for helper in supervised.helpers {
        helper.stop().await;
    }
    if let Some(server) = supervised.server {
        server.stop().await;
    }
    let end = match status {
        Ok(status) => describe(&End {
            status,
            stopping,
            guest_shutdown,
            out_of_memory: OomCounters::read().rose_since(&supervised.oom),
            last_words: supervised.tail.last_words(),
            memory: supervised.memory,
        }),
        Err(error) => Down {
            kind: DownKind::Died,
            message: format!("QEMU is gone, and its status cannot be read: {error}"),
        },
    };
    life.set_down(end.clone());
    drop(supervised.files.take());
    drop(supervised.template);
    for mut pump in supervised.pumps {
        if timeout(DRAIN, &mut pump).await.is_err() {
            pump.abort();
        }
    }
    let before = life.down.borrow().clone().unwrap_or_else(|| end.clone());
    let exit = if before == end {
        end.message
    } else {
        format!("{}; before that: {}", end.message, before.message)
    };
    if let Err(error) = fs::write(&supervised.exit_status, format!("{exit}\n")) {
        tracing::warn!("cannot write {}: {error}", supervised.exit_status.display());
    }
    life.exit.send_replace(Some(exit));
}

/// A machine without one of its helpers.
fn lost_helper(end: &HelperEnd) -> Down {
    Down {
        kind: DownKind::Died,
        message: format!("the machine cannot go on: {}", end.message),
    }
}

/// Takes an event in; whether it says that the guest shut itself down.
fn note(event: QmpEvent, life: &Life, agent: Option<&AgentChannel>) -> bool {
    match event {
        QmpEvent::Shutdown { guest, reason } => {
            tracing::debug!(guest, reason, "QEMU shuts down");
            guest
        }
        QmpEvent::Reset => {
            life.resets.send_modify(|count| *count += 1);
            if let Some(agent) = agent {
                agent.give_up();
            }
            false
        }
        // The agent has ended, and with it whatever it was asked.
        QmpEvent::PortClosed { id } => {
            if let Some(agent) = agent.filter(|_| id == AGENT_PORT) {
                agent.give_up();
            }
            false
        }
        QmpEvent::BlockIoError {
            no_space: true,
            action,
            reason,
        } if action == "stop" => {
            life.set_down(Down {
                kind: DownKind::DiskFull,
                message: format!(
                    "the machine was paused: the host's disk is full ({reason}); make room where TMPDIR and the template cache are, or use --no-templates"
                ),
            });
            false
        }
        QmpEvent::BlockIoError { action, reason, .. } => {
            tracing::warn!("a machine's disk had an error ({action}): {reason}");
            false
        }
        QmpEvent::Migration(status) => {
            life.migration.send_replace(status);
            false
        }
        QmpEvent::Unplugged { path, gone } => {
            life.unplugged.send_modify(|ends| {
                ends.insert(path, gone);
            });
            false
        }
        QmpEvent::Stop | QmpEvent::Resume => false,
    }
}

/// How a process ended.
#[derive(Debug)]
struct End {
    status: ExitStatus,
    stopping: bool,
    guest_shutdown: bool,
    out_of_memory: bool,
    last_words: Option<String>,
    memory: Memory,
}

fn describe(end: &End) -> Down {
    let words = |message: String| match &end.last_words {
        Some(words) => format!("{message}: {words}"),
        None => message,
    };
    let (kind, message) = match (end.status.signal(), end.status.code()) {
        (Some(9), _) if end.stopping => (DownKind::Stopped, "stopped by kolea".to_owned()),
        (Some(9), _) if end.out_of_memory => (
            DownKind::OutOfMemory,
            "QEMU was killed by the kernel for lack of memory; use a smaller -j, or give the run more memory"
                .to_owned(),
        ),
        (Some(SIGBUS), _) if end.memory != Memory::Anonymous => lost_memory(&end.memory),
        (Some(signal), _) => {
            let name = Signal::try_from(signal)
                .map_or_else(|_| String::new(), |name| format!(" ({})", name.as_str()));
            (
                DownKind::Died,
                words(format!("QEMU was killed by signal {signal}{name}")),
            )
        }
        (None, Some(0)) if end.stopping => (DownKind::Stopped, "stopped by kolea".to_owned()),
        (None, Some(0)) if end.guest_shutdown => (
            DownKind::PoweredOff,
            "the guest powered itself off".to_owned(),
        ),
        (None, code) => (
            DownKind::Died,
            words(format!(
                "QEMU ended by itself with status {}",
                code.unwrap_or_default()
            )),
        ),
    };
    Down { kind, message }
}

/// SIGBUS: where memory is a file, that is how the kernel says that a page of it can't be had.
fn lost_memory(memory: &Memory) -> (DownKind, String) {
    match memory {
        Memory::CopyOnWrite(ram) => (
            DownKind::Died,
            format!(
                "QEMU could not read the guest's memory from {}: the template was damaged while it was used; remove its directory, or use --no-templates",
                ram.display()
            ),
        ),
        Memory::Shared(ram) => (
            DownKind::DiskFull,
            format!(
                "the host's disk is full: the guest's memory cannot be written to {}; make room there, or use no templates",
                ram.display()
            ),
        ),
        Memory::Anonymous => (DownKind::Died, "QEMU lost the guest's memory".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `raw` as wait(2) gives it: a signal's number, or 256 times an exit code.
    fn end(raw: i32) -> End {
        End {
            status: ExitStatus::from_raw(raw),
            stopping: false,
            guest_shutdown: false,
            out_of_memory: false,
            last_words: Some("words".to_owned()),
            memory: Memory::Anonymous,
        }
    }

    #[test]
    fn every_end_has_its_cause() {
        let kind = |end: &End| describe(end).kind;
        assert_eq!(kind(&end(9)), DownKind::Died);
        assert_eq!(
            describe(&end(9)).message,
            "QEMU was killed by signal 9 (SIGKILL): words"
        );
        let stopped = End {
            stopping: true,
            out_of_memory: true,
            ..end(9)
        };
        assert_eq!(kind(&stopped), DownKind::Stopped);
        let oom = End {
            out_of_memory: true,
            ..end(9)
        };
        assert_eq!(kind(&oom), DownKind::OutOfMemory);
        // Memory ran out somewhere else: QEMU crashed.
        let crash = End {
            out_of_memory: true,
            ..end(11)
        };
        assert_eq!(kind(&crash), DownKind::Died);
        let no_room = End {
            memory: Memory::Shared("/t/ram".into()),
            ..end(SIGBUS)
        };
        assert_eq!(kind(&no_room), DownKind::DiskFull);
        let damaged = End {
            memory: Memory::CopyOnWrite("/t/ram".into()),
            ..end(SIGBUS)
        };
        assert_eq!(kind(&damaged), DownKind::Died);
        assert!(describe(&damaged).message.contains("/t/ram"));
        let off = End {
            guest_shutdown: true,
            ..end(0)
        };
        assert_eq!(kind(&off), DownKind::PoweredOff);
        assert_eq!(
            describe(&end(256)).message,
            "QEMU ended by itself with status 1: words"
        );
        assert_eq!(kind(&end(0)), DownKind::Died);
        let asked = End {
            stopping: true,
            ..end(0)
        };
        assert_eq!(kind(&asked), DownKind::Stopped);
    }
}
