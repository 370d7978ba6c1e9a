//! The inside of a fake machine: it answers commands as a guest with the agent would, and runs the tests' scripts.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kolea_machine::{DownKind, Exec, ExecOutput, Line, MachineError, Unit};

use crate::machine::Hardware;
use crate::platform::Shared;
use crate::{Rebase, Step};

/// The agent's exit status for a unit that failed.
const UNIT_FAILED: i32 = 10;

/// What the guest knows about a test's unit.
#[derive(Debug, Default)]
struct Service {
    test: String,
    identifier: String,
    script: Vec<Step>,
    next: usize,
}

/// Where a reboot that a test asked for leads.
#[derive(Clone, Copy, Debug, Default)]
enum After {
    #[default]
    NextBoot,
    Nowhere,
    Death,
}

#[derive(Debug, Default)]
struct State {
    after: After,
    services: HashMap<String, Service>,
    failed_units: Vec<String>,
    /// What fails in the next boot.
    next_failed: Option<String>,
    soft_reboots: u32,
    boots: u32,
}

#[derive(Debug)]
pub(crate) struct Guest {
    hardware: Arc<Hardware>,
    shared: Arc<Mutex<Shared>>,
    state: Mutex<State>,
}

impl Service {
    /// What the unit's file says.
    fn new(contents: &str) -> Self {
        let value = |key| {
            contents
                .lines()
                .find_map(|line| line.strip_prefix(key))
                .unwrap_or_default()
        };
        Service {
            test: value("Environment=KOLA_TEST=").to_owned(),
            identifier: format!("kola-runext-{}", value("Environment=KOLA_TEST_EXE=")),
            ..Service::default()
        }
    }
}

/// The units of tests that are being installed, by name. However they are brought, their text is there as it is.
fn units_in(exec: &Exec) -> Vec<(String, Service)> {
    let text = format!("{}\n{}", exec.command, String::from_utf8_lossy(&exec.stdin));
    text.split("[Unit]\n")
        .skip(1)
        .filter_map(|unit| {
            let name = unit
                .lines()
                .find_map(|line| line.strip_prefix("Environment=KOLA_UNIT="))?;
            Some((name.to_owned(), Service::new(unit)))
        })
        .collect()
}

fn output(status: i32, stdout: impl Into<String>, stderr: impl Into<String>) -> ExecOutput {
    ExecOutput {
        status,
        stdout: stdout.into().into_bytes(),
        stderr: stderr.into().into_bytes(),
    }
}

fn broken() -> MachineError {
    MachineError::Ssh("the connection was lost".to_owned())
}

impl Guest {
    pub fn new(
        units: &[Unit],
        hardware: Arc<Hardware>,
        shared: Arc<Mutex<Shared>>,
        failed_units: Vec<String>,
    ) -> Self {
        let services = units
            .iter()
            .map(|unit| (unit.name.clone(), Service::new(&unit.contents)));
        Guest {
            hardware,
            shared,
            state: Mutex::new(State {
                services: services.collect(),
                failed_units,
                boots: 1,
                ..State::default()
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn shared(&self) -> MutexGuard<'_, Shared> {
        self.shared.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Answers a command. Never, while the guest can't be reached.
    pub async fn exec(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        if self.hardware.boot.borrow().is_none() {
            std::future::pending::<()>().await;
        }
        match exec.label {
            "check" => {
                let (id, variant) = self.shared().os.clone();
                let variant = variant.map_or_else(String::new, |id| format!("variant={id}\n"));
                Ok(output(
                    0,
                    format!("{}os={id}\n{variant}", self.health()),
                    "",
                ))
            }
            "copy" => {
                self.shared().stats.copied += exec.stdin.len();
                Ok(output(0, "", ""))
            }
            "rebase" => {
                let rebase = {
                    let mut shared = self.shared();
                    shared.rebases.push(exec.command.clone());
                    shared.rebase.clone()
                };
                match rebase {
                    Rebase::Ok => {}
                    Rebase::Slow(time) => tokio::time::sleep(time).await,
                    Rebase::Fails(reason) => return Ok(output(1, "", reason)),
                    Rebase::Breaks(unit) => self.state().next_failed = Some(unit),
                }
                Ok(output(0, "", ""))
            }
            "reboot" => {
                self.reboot();
                Ok(output(0, "", ""))
            }
            "install" => {
                self.state().services.extend(units_in(exec));
                Ok(output(0, "", ""))
            }
            "run-test-unit" => self.run_unit(exec).await,
            "native" => {
                let script = self.shared().script(&exec.command);
                for step in script {
                    if let Some(end) = self.step("", "", None, step).await {
                        return end;
                    }
                }
                Ok(output(0, "", ""))
            }
            "reboot-ack" if exec.command.contains("SoftRebootsCount") => {
                let mut state = self.state();
                state.soft_reboots += 1;
                Ok(output(0, format!("{}\n", state.soft_reboots - 1), ""))
            }
            "reboot-ack" => {
                let after = self.state().after;
                match after {
                    After::NextBoot => self.reboot(),
                    After::Nowhere => {
                        self.hardware.boot.send_replace(None);
                    }
                    After::Death => self
                        .hardware
                        .go_down(DownKind::Died, "the fake process was killed by signal 9"),
                }
                Ok(output(0, "", ""))
            }
            "soft-reboot-wait" => {
                let count = self.state().soft_reboots;
                Ok(output(0, format!("{count}\n"), ""))
            }
            "unit-status" => Ok(output(3, "× the fake unit's status\n", "")),
            _ => Ok(output(0, "", "")),
        }
    }

    fn health(&self) -> String {
        health(&self.state().failed_units)
    }

    /// The guest goes through a reset into its next boot.
    fn reboot(&self) {
        let boots = {
            let mut state = self.state();
            state.boots += 1;
            state.failed_units.clear();
            let next = state.next_failed.take();
            state.failed_units.extend(next);
            state.boots
        };
        self.hardware.boot.send_replace(None);
        self.hardware.resets.send_modify(|resets| *resets += 1);
        self.hardware.boot.send_replace(Some(boots));
    }

    async fn run_unit(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        let unit = exec.command.rsplit(' ').next().unwrap_or_default();
        let mark = String::from_utf8_lossy(&exec.stdin)
            .trim()
            .strip_prefix("AUTOPKGTEST_REBOOT_MARK=\"")
            .and_then(|rest| rest.strip_suffix('"'))
            .map(str::to_owned);
        let identifier = {
            let mut state = self.state();
            let Some(service) = state.services.get_mut(unit) else {
                return Ok(output(1, "", format!("Unit {unit} not found.")));
            };
            if mark.is_none() {
                service.script = self.shared().script(&service.test);
                service.next = 0;
            }
            service.identifier.clone()
        };
        loop {
            let step = {
                let mut state = self.state();
                state.services.get_mut(unit).and_then(|service| {
                    service.next += 1;
                    service.script.get(service.next - 1).cloned()
                })
            };
            let step = step.unwrap_or(Step::Exit(0));
            if let Some(end) = self.step(unit, &identifier, mark.as_deref(), step).await {
                return end;
            }
        }
    }

    /// One step of a test; what the command returns if it was the last.
    async fn step(
        &self,
        unit: &str,
        identifier: &str,
        mark: Option<&str>,
        step: Step,
    ) -> Option<Result<ExecOutput, MachineError>> {
        let hardware = &self.hardware;
        let print = |text: String| hardware.journal(Some(unit), identifier, text);
        match step {
            Step::Print(text) => print(text).await,
            Step::PrintMany(count) => {
                for number in 0..count {
                    print(format!("line {number} of a test that prints a lot")).await;
                }
            }
            Step::Console(text) => hardware.say(Line::Console(text)).await,
            Step::Journal(identifier, message) => {
                hardware.journal(None, &identifier, message).await;
            }
            Step::Sleep(time) => tokio::time::sleep(time).await,
            Step::FailUnit(name) => self.state().failed_units.push(name),
            Step::Hang => std::future::pending().await,
            Step::Panic => {
                let line = "[   42.000000] Kernel panic - not syncing: sysrq triggered crash";
                hardware.boot.send_replace(None);
                hardware.say(Line::Console(line.to_owned())).await;
                std::future::pending::<()>().await;
            }
            Step::Die => {
                hardware.go_down(DownKind::Died, "the fake process was killed by signal 9");
            }
            Step::OutOfMemory => {
                hardware.go_down(
                    DownKind::OutOfMemory,
                    "the kernel killed the fake process for lack of memory",
                );
            }
            Step::DiskFull => {
                hardware.go_down(
                    DownKind::DiskFull,
                    "the fake machine was paused: no space left on the host",
                );
            }
            Step::PowerOff => hardware.go_down(DownKind::PoweredOff, "the guest shut down"),
            Step::LoseSsh => return Some(Err(broken())),
            Step::LoseSshForGood => {
                hardware.boot.send_replace(None);
                return Some(Err(broken()));
            }
            Step::Reset => {
                self.reboot();
                return Some(Err(broken()));
            }
            Step::ExpectMark(expected) if expected.as_deref() == mark => {}
            Step::ExpectMark(_) => return Some(Ok(self.end(unit, 1).await)),
            Step::Exit(status) => return Some(Ok(self.end(unit, status).await)),
            Step::Reboot(mark) => {
                return Some(Ok(self.ask(unit, &mark, "").await));
            }
            Step::RebootHangs(mark) => {
                self.state().after = After::Nowhere;
                return Some(Ok(self.ask(unit, &mark, "").await));
            }
            Step::RebootDies(mark) => {
                self.state().after = After::Death;
                return Some(Ok(self.ask(unit, &mark, "").await));
            }
            Step::SoftReboot(mark) => {
                return Some(Ok(self.ask(unit, "", &mark).await));
            }
        }
        if hardware.down.borrow().is_some() {
            // Whoever waits for the command hears of the machine's end instead.
            std::future::pending::<()>().await;
        }
        None
    }

    async fn ask(&self, unit: &str, hard: &str, soft: &str) -> ExecOutput {
        self.mark_end(unit).await;
        let request = serde_json::json!({ "Reboot": hard, "SoftReboot": soft });
        output(0, format!("{request}\n"), "")
    }

    async fn end(&self, unit: &str, status: i32) -> ExecOutput {
        self.mark_end(unit).await;
        match status {
            0 | 77 => output(status, "", ""),
            _ => {
                self.state().failed_units.push(unit.to_owned());
                output(UNIT_FAILED, "", format!("exited with code {status}\n"))
            }
        }
    }

    async fn mark_end(&self, unit: &str) {
        self.hardware
            .journal(None, "kolet", format!("{unit} ended"))
            .await;
    }
}

/// What the check's command prints (`kolea_machine::check`).
fn health(failed_units: &[String]) -> String {
    let state = if failed_units.is_empty() {
        "running"
    } else {
        "degraded"
    };
    let mut text = format!("Version=257\nSystemState={state}\nlisted\n");
    for unit in failed_units {
        text.push_str(&format!("failed={unit}\n"));
    }
    text
}
