//! One machine of a group, from its order to its end.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::check::{BaseCheck, base_check};
use kolea_machine::{BootId, Machine, MachineError};
use kolea_model::{EventKind, InfraCause, Phase, Verdict};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use crate::guard::{Guard, Limit, Stop};
use crate::log::log_file_name;
use crate::outcome::{Outcome, fail, finding_reason, infra, verdict_of_down, verdict_of_error};
use crate::run::Run;
use crate::seat::Busy;
use crate::template::Frozen;
use crate::trace::Traced;
use crate::watch::Watcher;

/// How long the machine's last lines may take to arrive after its end.
const LAST_LINES: Duration = Duration::from_secs(5);
/// How long stopping a machine may take before it is left to the platform's own clean-up.
const STOP_LIMIT: Duration = Duration::from_secs(60);
/// How long a machine that was lost may take to answer again, before it is scaled.
const RECONNECT: Duration = Duration::from_secs(15);
/// How long Ignition's own account may take to arrive after the emergency shell was seen, before it is scaled.
const IGNITION_ACCOUNT: Duration = Duration::from_secs(3);

/// A machine that was started.
#[derive(Debug)]
pub(crate) struct Session<'a> {
    pub run: &'a Run,
    /// The group's name.
    pub owner: &'a str,
    pub machine: Arc<dyn Machine>,
    /// The same machine, as the one that is traced.
    pub traced: Arc<Traced>,
    pub watcher: Watcher,
    /// The boot that the machine is in, once it was ready.
    pub boot: BootId,
    /// Whether the base checks are left out.
    pub skip_checks: bool,
    /// What it is a clone of, if it is one.
    pub template: Option<Arc<Frozen>>,
    /// The processors that it may keep busy until it is ready.
    pub busy: Option<Busy>,
    /// When it was ordered.
    pub ordered: Instant,
    /// When it was ready for tests.
    pub ready: Option<Instant>,
    /// Whether it was brought to another version of its system.
    pub rebased: bool,
    /// How long that took, which no test's time limit counts.
    pub prepared: Duration,
    /// Whether phases are told without the test's name: this run of it does not count.
    pub quiet: bool,
    /// What counts as the beginning of the next unasked reboot.
    resets: watch::Receiver<u32>,
    /// Units that are known to have failed, or that failed tests have left behind.
    known_bad: BTreeSet<String>,
    phase: Phase,
    /// The test whose phase it is, if it is one test's.
    phase_of: Option<String>,
    stopped: bool,
}

impl<'a> Session<'a> {
    /// Takes charge of a machine that was just started.
    pub fn new(
        run: &'a Run,
        owner: &'a str,
        traced: Arc<Traced>,
        watcher: Watcher,
        skip_checks: bool,
    ) -> Self {
        Session {
            run,
            owner,
            resets: traced.resets(),
            machine: Arc::clone(&traced) as Arc<dyn Machine>,
            traced,
            watcher,
            boot: BootId(String::new()),
            skip_checks,
            template: None,
            busy: None,
            ordered: Instant::now(),
            ready: None,
            rebased: false,
            prepared: Duration::ZERO,
            quiet: false,
            known_bad: BTreeSet::new(),
            phase: Phase::Preparing,
            phase_of: None,
            stopped: false,
        }
    }

    /// Says where the group, or one of its tests, is.
    pub fn enter(&mut self, phase: Phase, test: Option<&str>) {
        if self.phase == phase && self.phase_of.as_deref() == test {
            return;
        }
        self.phase = phase;
        self.phase_of = test.map(str::to_owned);
        let told = test.filter(|_| !self.quiet);
        self.run.phase(self.owner, told, phase);
    }

    /// A unit of a test, which may fail without being the image's fault.
    pub fn expect_failure_of(&mut self, unit: &str) {
        self.known_bad.insert(unit.to_owned());
    }

    /// Resets up to now were asked for.
    pub fn forgive_resets(&mut self) {
        self.resets.borrow_and_update();
    }

    /// Waits for `work` in the present phase, unless something ends it. `resets`: whether a reset does.
    pub async fn race<T>(
        &mut self,
        limit: &Limit,
        resets: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        self.race_with(&[], limit, resets, work).await
    }

    /// The same, and whatever ends one of the others ends the wait.
    pub async fn race_with<T>(
        &mut self,
        others: &[Session<'_>],
        limit: &Limit,
        resets: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        let others = others.iter();
        Guard {
            watcher: Some(&self.watcher),
            machine: Some(&*self.machine),
            others: others
                .map(|other| (&other.watcher, &*other.machine))
                .collect(),
            resets: resets.then_some(&mut self.resets),
            ..Guard::new(&self.run.control, limit)
        }
        .race(work)
        .await
    }

    /// Checks the system's health, unless the test doesn't want that. `Ok(None)` if all is well; a fault is reported
    /// once, so that only the test after which it appeared has to answer for it.
    pub async fn check(&mut self, limit: &Limit, resets: bool) -> Result<Option<String>, Outcome> {
        self.check_while(limit, resets, std::future::ready(()))
            .await
    }

    /// The same, while something else is waited for.
    pub async fn check_while(
        &mut self,
        limit: &Limit,
        resets: bool,
        other: impl Future<Output = ()>,
    ) -> Result<Option<String>, Outcome> {
        let told = !self.run.distro.is_unknown();
        let machine = (!self.skip_checks || !told).then(|| Arc::clone(&self.machine));
        let check = async {
            match machine {
                Some(machine) => base_check(&*machine).await.map(Some),
                None => Ok(None),
            }
        };
        let work = async { tokio::join!(check, other).0 };
        match self.race(limit, resets, work).await {
            // Whoever wants no checks may leave the machine as it likes.
            Err(stop) if self.skip_checks && !matches!(stop, Stop::Kill | Stop::Fatal) => Ok(None),
            Err(stop) => Err(self.explain(stop, None).await),
            Ok(Err(_)) if self.skip_checks => Ok(None),
            Ok(Err(error)) => Err(self.explain_error(error, None).await),
            Ok(Ok(check)) => Ok(check.and_then(|check| self.news_of(check))),
        }
    }

    fn news_of(&mut self, mut check: BaseCheck) -> Option<String> {
        // What it is rebased to may be another distribution.
        if self.run.options.oscontainer.is_none() || self.rebased {
            let variant_id = check.variant_id.as_deref();
            self.run.learn_distro(&check.os_id, variant_id);
            self.watcher.apply(self.run.distro.rules());
        }
        if self.skip_checks {
            return None;
        }
        check
            .failed_units
            .retain(|unit| !self.known_bad.contains(unit));
        check
            .restarting_units
            .retain(|unit| !self.known_bad.contains(unit));
        let problem = check.problem(self.run.distro.profile());
        self.known_bad.extend(check.failed_units);
        self.known_bad.extend(check.restarting_units);
        problem
    }

    /// Whether somebody could log in now, as far as is known.
    pub fn answers(&self) -> bool {
        let is_up = !matches!(self.phase, Phase::Rebooting | Phase::SoftRebooting);
        !self.stopped && is_up && !self.boot.0.is_empty() && self.watcher.fatal_so_far().is_none()
    }

    /// What the end of a wait means. The machine is not to be used again.
    pub async fn explain(&mut self, stop: Stop, test: Option<&str>) -> Outcome {
        let phase = self.phase;
        let verdict = match stop {
            Stop::Kill => Verdict::Lost {
                reason: format!("killed while {phase}"),
            },
            Stop::Drain => Verdict::Lost {
                reason: format!("interrupted while {phase}"),
            },
            Stop::Limit(limit) => self.timed_out(&limit, test),
            Stop::Fatal => self
                .fatal_verdict()
                .await
                .unwrap_or_else(|| infra(InfraCause::Harness, "a fatal finding was lost")),
            Stop::Down(down) => self.last_words(verdict_of_down(&down, phase)).await,
            Stop::Reset => {
                let verdict = fail(format!(
                    "the machine rebooted without being asked, while {phase}"
                ));
                self.last_words(verdict).await
            }
        };
        Outcome::broken(verdict)
    }

    /// What an error of the machine means. A lost connection is looked into first.
    pub async fn explain_error(&mut self, error: MachineError, test: Option<&str>) -> Outcome {
        let MachineError::Ssh(message) = error else {
            return match &error {
                MachineError::Down(_) => {
                    let verdict = verdict_of_error(&error, self.phase);
                    Outcome::broken(self.last_words(verdict).await)
                }
                MachineError::Guest(_) => Outcome::clean(verdict_of_error(&error, self.phase)),
                _ => Outcome::broken(verdict_of_error(&error, self.phase)),
            };
        };
        let limit = Limit::after(self.run.scaled(RECONNECT), "the reconnection limit");
        let machine = Arc::clone(&self.machine);
        let back = self
            .race(
                &limit,
                self.phase == Phase::Running,
                machine.wait_ready(None),
            )
            .await;
        let why = match back {
            Ok(Ok(boot)) if boot == self.boot => "it answers again, in the same boot".to_owned(),
            // Another boot is what was asked for; that the connection broke in between is not the test's fault.
            Ok(Ok(_)) if self.phase == Phase::Rebooting => "it answers again".to_owned(),
            Ok(Ok(_)) => {
                let verdict = fail(format!(
                    "the machine rebooted without being asked, while {}",
                    self.phase
                ));
                return Outcome::broken(self.last_words(verdict).await);
            }
            Err(Stop::Limit(limit)) => format!("it did not answer again within {}", limit.text),
            Err(stop) => return self.explain(stop, test).await,
            Ok(Err(MachineError::Ssh(again))) => again,
            Ok(Err(error)) => return Outcome::broken(verdict_of_error(&error, self.phase)),
        };
        let error = MachineError::Ssh(format!("{message}; {why}"));
        Outcome::broken(verdict_of_error(&error, self.phase))
    }

    fn timed_out(&self, limit: &Limit, test: Option<&str>) -> Verdict {
        let ignition = match self.watcher.ignition_error() {
            Some(line) if self.phase == Phase::Booting => format!("; Ignition: {line}"),
            _ => String::new(),
        };
        Verdict::Timeout {
            phase: self.phase,
            reason: format!(
                "{} is over; {}{ignition}",
                limit.text,
                self.watcher.last_progress(test)
            ),
        }
    }

    /// The fatal finding as a verdict. A boot that ends in the emergency shell is mostly Ignition's doing, and it
    /// says itself what was wrong, a moment later.
    async fn fatal_verdict(&self) -> Option<Verdict> {
        let finding = self.watcher.fatal_so_far()?;
        let in_initramfs =
            finding.rule.starts_with("emergency") || finding.rule.starts_with("dracut");
        if in_initramfs && self.phase == Phase::Booting {
            let patience = self.run.scaled(IGNITION_ACCOUNT);
            self.watcher.ignition_explained(patience).await;
            if let Some(line) = self.watcher.ignition_error() {
                return Some(fail(format!("Ignition failed in the initramfs: {line}")));
            }
        }
        Some(fail(format!(
            "{} (while {})",
            finding_reason(&finding),
            self.phase
        )))
    }

    /// Stops the machine and reads its last lines: if they tell of something fatal, that is the verdict.
    async fn last_words(&mut self, verdict: Verdict) -> Verdict {
        self.stop().await;
        self.fatal_verdict().await.unwrap_or(verdict)
    }

    /// Stops the machine and waits for its last lines. The second time, nothing happens.
    pub async fn stop(&mut self) {
        if std::mem::replace(&mut self.stopped, true) {
            return;
        }
        self.run.phase(self.owner, None, Phase::Stopping);
        let exit = match timeout(STOP_LIMIT, self.machine.stop()).await {
            Ok(exit) => exit,
            Err(_) => "still not stopped; left to the platform's clean-up".to_owned(),
        };
        self.busy = None;
        self.watcher.closed(LAST_LINES).await;
        self.run.events.send(EventKind::MachineStopped {
            machine: self.machine.id().to_owned(),
            exit,
        });
    }

    /// Artefacts of a test: what is in the machine's directory, other tests' logs excepted, by file name.
    pub fn artifacts(&self, test: &str, others: &[String]) -> BTreeMap<String, PathBuf> {
        let foreign: BTreeSet<String> = others
            .iter()
            .filter(|other| *other != test)
            .map(|other| log_file_name(other))
            .collect();
        files_in(self.watcher.dir())
            .into_iter()
            .filter(|(name, _)| !foreign.contains(name))
            .map(|(name, path)| (name, self.run.relative(&path)))
            .collect()
    }

    /// Nobody logs in to the machine: it is the test's from its start. It keeps its processors, since nothing tells when it has
    /// booted.
    pub fn watch_only(&mut self) {
        self.ready = Some(Instant::now());
    }

    /// Waits until the machine accepts commands, and passes the checks; its template has passed them for a clone.
    pub async fn boot(&mut self, limit: &Limit, stop_on_drain: bool) -> Result<(), Outcome> {
        self.enter(Phase::Booting, None);
        let machine = Arc::clone(&self.machine);
        let ready = Guard {
            watcher: Some(&self.watcher),
            machine: Some(&*self.machine),
            stop_on_drain,
            ..Guard::new(&self.run.control, limit)
        }
        .race(machine.wait_ready(None))
        .await;
        self.boot = match ready {
            Ok(Ok(boot)) => boot,
            Ok(Err(error @ MachineError::Down(_))) => {
                return Err(self.explain_error(error, None).await);
            }
            // A clone was well when it was frozen: that it does not wake is not the image's fault.
            Ok(Err(MachineError::Guest(message))) if self.template.is_some() => {
                let reason = format!("{message} (while {})", self.phase);
                return Err(Outcome::broken(infra(InfraCause::Boot, reason)));
            }
            Ok(Err(error)) => return Err(Outcome::broken(verdict_of_error(&error, self.phase))),
            Err(Stop::Limit(limit)) if self.template.is_some() => {
                let reason = format!(
                    "{} is over before it answered; {}",
                    limit.text,
                    self.watcher.last_progress(None)
                );
                return Err(Outcome::broken(infra(InfraCause::Boot, reason)));
            }
            Err(stop) => return Err(self.explain(stop, None).await),
        };
        self.busy = None;
        // Firmware, shim and Ignition's kernel arguments may all have reset it on the way.
        self.forgive_resets();
        self.run.events.send(EventKind::MachineReady {
            machine: self.machine.id().to_owned(),
            boot_seconds: self.ordered.elapsed().as_secs_f64(),
        });
        if self.template.is_none() {
            self.enter(Phase::Checking, None);
            if let Some(problem) = self.check(limit, false).await? {
                return Err(Outcome::broken(fail(format!(
                    "the machine is not healthy after its boot: {problem}"
                ))));
            }
            if let Some(spec) = &self.run.options.oscontainer {
                self.rebase(spec, stop_on_drain).await?;
            }
        }
        self.ready = Some(Instant::now());
        Ok(())
    }
}

fn files_in(dir: &Path) -> Vec<(String, PathBuf)> {
    let Ok(entries) = std::fs::read_dir(dir) else {
        return Vec::new();
    };
    entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_file()))
        .map(|entry| {
            (
                entry.file_name().to_string_lossy().into_owned(),
                entry.path(),
            )
        })
        .collect()
}
