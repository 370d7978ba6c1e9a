//! A machine that follows its scripts.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use async_trait::async_trait;
use kolea_machine::{
    BootId, Down, DownKind, Exec, ExecOutput, JournalEntry, Line, Machine, MachineError, SshLogin,
    Step, Unit,
};
use tokio::sync::{mpsc, watch};

use crate::Boot;
use crate::guest::Guest;
use crate::platform::Shared;

/// How a machine ends that dies.
const KILLED: &str = "the fake process was killed by signal 9";
/// How many lines may wait for their reader.
const LINES: usize = 1024;

/// What happens to a machine as a whole.
#[derive(Debug)]
pub(crate) struct Hardware {
    pub down: watch::Sender<Option<Down>>,
    pub resets: watch::Sender<u32>,
    /// Counts boots; none while the guest can't be reached.
    pub boot: watch::Sender<Option<u32>>,
    lines: Mutex<Option<mpsc::Sender<Line>>>,
}

impl Hardware {
    /// The machine can't go on.
    pub fn go_down(&self, kind: DownKind, message: &str) {
        self.down.send_if_modified(|down| {
            let first = down.is_none();
            if first {
                *down = Some(Down {
                    kind,
                    message: message.to_owned(),
                });
            }
            first
        });
    }

    /// Says a line. Nobody may be listening any more.
    pub async fn say(&self, line: Line) {
        let sender = self
            .lines
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(sender) = sender {
            let _ = sender.send(line).await;
        }
    }

    /// Writes to the journal.
    pub async fn journal(&self, unit: Option<&str>, identifier: &str, message: String) {
        self.say(Line::Journal(Arc::new(JournalEntry {
            unit: unit.map(str::to_owned),
            identifier: Some(identifier.to_owned()),
            pid: Some(1000),
            message,
            ..JournalEntry::default()
        })))
        .await;
    }

    /// Waits until the machine can't go on.
    pub async fn is_down(&self) -> Down {
        let mut down = self.down.subscribe();
        let ended = match down.wait_for(Option::is_some).await {
            Ok(down) => (*down).clone(),
            Err(_) => None,
        };
        match ended {
            Some(down) => down,
            None => std::future::pending().await,
        }
    }
}

/// What a machine starts with.
#[derive(Debug)]
pub(crate) struct Beginning {
    pub id: String,
    pub dir: PathBuf,
    pub units: Vec<Unit>,
    pub boot: Boot,
    /// What it costs, in MiB.
    pub memory_mib: u64,
    /// Whether it is a clone.
    pub clone: bool,
}

/// A fake machine.
#[derive(Debug)]
pub struct FakeMachine {
    id: String,
    dir: PathBuf,
    memory_mib: u64,
    boot: Boot,
    clone: bool,
    steps: Mutex<Vec<Step>>,
    hardware: Arc<Hardware>,
    guest: Guest,
    receiver: Mutex<Option<mpsc::Receiver<Line>>>,
    shared: Arc<Mutex<Shared>>,
    stopped: Mutex<bool>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FakeMachine {
    pub(crate) fn start(beginning: Beginning, shared: Arc<Mutex<Shared>>) -> Arc<FakeMachine> {
        let (sender, receiver) = mpsc::channel(LINES);
        let hardware = Arc::new(Hardware {
            down: watch::Sender::new(None),
            resets: watch::Sender::new(0),
            boot: watch::Sender::new(None),
            lines: Mutex::new(Some(sender)),
        });
        let Beginning {
            id,
            dir,
            units,
            boot,
            memory_mib,
            clone,
        } = beginning;
        let started = Step {
            name: if clone { "load" } else { "start" }.to_owned(),
            began: chrono::Utc::now(),
            seconds: 0.0,
        };
        let machine = Arc::new(FakeMachine {
            id,
            dir,
            memory_mib,
            clone,
            steps: Mutex::new(vec![started]),
            guest: Guest::new(
                &units,
                Arc::clone(&hardware),
                Arc::clone(&shared),
                match &boot {
                    Boot::Degraded(unit) => vec![unit.clone()],
                    _ => Vec::new(),
                },
            ),
            boot,
            hardware,
            receiver: Mutex::new(Some(receiver)),
            shared,
            stopped: Mutex::new(false),
        });
        let booting = Arc::downgrade(&machine);
        tokio::spawn(async move {
            if let Some(machine) = booting.upgrade() {
                lock(&machine.shared).begin_boot();
                machine.come_up().await;
                lock(&machine.shared).end_boot();
            }
        });
        machine
    }

    /// Says something on the console.
    pub(crate) async fn say(&self, text: &str) {
        self.hardware.say(Line::Console(text.to_owned())).await;
    }

    async fn come_up(&self) {
        // A real directory, as far as the disk allows: tests of a thousand machines may do without.
        let _ = std::fs::create_dir_all(&self.dir);
        let console = |text: &str| self.hardware.say(Line::Console(text.to_owned()));
        if !self.clone {
            console("[    0.000000] Linux version 6.1.0-fake").await;
        }
        match &self.boot {
            Boot::Ok | Boot::Degraded(_) | Boot::LaunchFails(_) => {}
            Boot::ThenDies(time) => {
                let (hardware, time) = (Arc::clone(&self.hardware), *time);
                tokio::spawn(async move {
                    tokio::time::sleep(time).await;
                    hardware.go_down(DownKind::Died, KILLED);
                });
            }
            Boot::Says(lines) => {
                for line in lines {
                    console(line).await;
                }
            }
            Boot::Slow(time) => {
                tokio::select! {
                    () = tokio::time::sleep(*time) => {}
                    _ = self.hardware.is_down() => return,
                }
            }
            Boot::Never(lines) => {
                for line in lines {
                    console(line).await;
                }
                return;
            }
            Boot::IgnitionFails(message) => {
                console("[    4.000000] systemd[1]: Starting Emergency Shell...").await;
                self.hardware
                    .journal(None, "ignition", message.clone())
                    .await;
                return;
            }
            Boot::Dies => {
                self.hardware.go_down(DownKind::Died, KILLED);
                return;
            }
        }
        self.hardware.boot.send_replace(Some(1));
    }
}

#[async_trait]
impl Machine for FakeMachine {
    fn id(&self) -> &str {
        &self.id
    }

    fn dir(&self) -> &Path {
        &self.dir
    }

    async fn wait_ready(&self, previous: Option<&BootId>) -> Result<BootId, MachineError> {
        let mut boot = self.hardware.boot.subscribe();
        let other = boot.wait_for(|boot| boot.is_some_and(|boot| previous != Some(&boot_id(boot))));
        tokio::select! {
            down = self.hardware.is_down() => Err(MachineError::Down(down)),
            ready = other => match ready.map(|boot| *boot) {
                Ok(Some(boot)) => Ok(boot_id(boot)),
                _ => Err(MachineError::Harness("the fake machine is gone".to_owned())),
            },
        }
    }

    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError> {
        tokio::select! {
            biased;
            down = self.hardware.is_down() => Err(MachineError::Down(down)),
            output = self.guest.exec(&exec) => output,
        }
    }

    async fn down(&self) -> Down {
        self.hardware.is_down().await
    }

    fn take_lines(&self) -> Option<mpsc::Receiver<Line>> {
        lock(&self.receiver).take()
    }

    fn take_steps(&self) -> Vec<Step> {
        std::mem::take(&mut *lock(&self.steps))
    }

    fn resets(&self) -> watch::Receiver<u32> {
        self.hardware.resets.subscribe()
    }

    fn ssh_login(&self) -> Option<SshLogin> {
        Some(SshLogin {
            host: "127.0.0.1".to_owned(),
            port: 22,
            user: "core".to_owned(),
            private_key: format!("the key of {}", self.id),
        })
    }

    async fn remove_disk(&self, id: &str) -> Result<(), MachineError> {
        Err(MachineError::Harness(format!(
            "a fake machine has no disk {id}"
        )))
    }

    async fn stop(&self) -> String {
        self.hardware.go_down(DownKind::Stopped, "stopped by kolea");
        lock(&self.hardware.lines).take();
        let first = !std::mem::replace(&mut *lock(&self.stopped), true);
        if first {
            lock(&self.shared).end(self.memory_mib);
        }
        let down = self.hardware.down.borrow();
        down.as_ref()
            .map_or_else(String::new, |down| down.message.clone())
    }
}

/// The id of the `number`th boot of a machine.
pub(crate) fn boot_id(number: u32) -> BootId {
    BootId(format!("{number:032x}"))
}
