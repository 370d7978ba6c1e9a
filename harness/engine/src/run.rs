//! A run, from its plan to its exit code.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;
use kolea_machine::{Platform, PlatformFacts};
use kolea_model::{
    EventKind, ExitCode, InfraCause, MachineSpec, Phase, RunInfo, SkipReason, TestCase, Verdict,
};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout};

use crate::distro::{Distro, News};
use crate::group::{Group, Member};
use crate::guard::Limit;
use crate::host::{host_cpus, host_memory};
use crate::launch::Start;
use crate::ledger::Ledger;
use crate::notes::Notes;
use crate::outcome::infra;
use crate::plan::forecast::lower_bound;
use crate::plan::{Planner, Seed, overridden, prepared, unit_numbers};
use crate::schedule::{Stage, Work};
use crate::seat::{Busy, Processors};
use crate::stages::{find_templates, first_stage};
use crate::{Case, Control, EventSender, RunOptions};

/// How long the platform's own clean-up may take.
const CLOSE_LIMIT: Duration = Duration::from_secs(60);

/// What every part of a run needs.
#[derive(Debug)]
pub(crate) struct Run {
    pub platform: Arc<dyn Platform>,
    pub cases: Vec<Case>,
    pub options: RunOptions,
    pub events: EventSender,
    pub control: Control,
    pub ledger: Ledger,
    factor: f64,
    /// Memory for all machines together, in MiB.
    pub budget: u64,
    processors: Processors,
    /// The order of the template that each test could start from on a machine of its own.
    pub seeds: Vec<Seed>,
    pub notes: Notes,
    /// What is known about the distribution.
    pub distro: Distro,
    /// Whose turn it is to have the terminal: only one shell is open at a time.
    pub shell_turn: Mutex<()>,
}

impl Run {
    /// The facts that the reports are to show.
    fn info(&self) -> RunInfo {
        let facts = self.platform.facts();
        let mut properties = self.options.info.properties.clone();
        properties.extend(facts.properties.clone());
        RunInfo {
            platform: facts.name.clone(),
            arch: facts.arch.clone(),
            jobs: self.options.jobs,
            timeout_factor: self.factor,
            properties,
            ..self.options.info.clone()
        }
    }

    /// A machine has told its distribution, or a template has.
    pub fn learn_distro(&self, id: &str, variant_id: Option<&str>) {
        if let Some(News { distro, from }) = self.distro.learn(id, variant_id) {
            self.events.send(EventKind::DistroDetected { distro, from });
        }
    }

    /// The test of a group's member.
    pub fn test(&self, member: &Member) -> &TestCase {
        &self.cases[member.index].test
    }

    /// A time limit, scaled to the machines' speed.
    pub fn scaled(&self, limit: Duration) -> Duration {
        limit.mul_f64(self.factor)
    }

    /// A scaled limit from a point in time on.
    pub fn limit(&self, start: Instant, limit: Duration, what: &str) -> Limit {
        Limit::since(start, self.scaled(limit), what)
    }

    /// Says where a group, or one of its tests, is.
    pub fn phase(&self, group: &str, test: Option<&str>, phase: Phase) {
        self.events.send(EventKind::PhaseChanged {
            group: group.to_owned(),
            test: test.map(str::to_owned),
            phase,
        });
    }

    /// A path as the reports give it.
    pub fn relative(&self, path: &Path) -> PathBuf {
        path.strip_prefix(&self.options.output_dir)
            .unwrap_or(path)
            .to_path_buf()
    }

    /// The user wants the run to end, which is said once, before any of its consequences.
    pub fn announce_interruption(&self) {
        let signal = self.control.signal().unwrap_or_default();
        self.ledger.announce_interruption(&signal);
    }

    /// The verdict of a test whose turn never came, since the run was interrupted.
    pub fn not_started(&self) -> Verdict {
        let signal = self.control.signal().unwrap_or_default();
        Verdict::Lost {
            reason: format!("not started: interrupted by {signal}"),
        }
    }

    /// The turn of these tests never came, since the run was interrupted.
    pub fn lose<'a>(&self, members: impl IntoIterator<Item = &'a Member>) {
        for member in members {
            self.announce_interruption();
            // A rerun that never came about leaves the first verdict as it is.
            let verdict = member.first.clone().unwrap_or_else(|| self.not_started());
            self.ledger.finish(&self.test(member).name, verdict);
        }
    }

    /// Waits for the processors that so many machines keep busy until they are ready. `None` if the run was interrupted before.
    pub async fn processors(&self, spec: &MachineSpec, machines: u32) -> Option<Busy> {
        let count = self.platform.boot_cpus(spec).saturating_mul(machines);
        self.processors.take(count, &self.control).await
    }

    /// Whether the host could ever have the memory for the group if its machines boot.
    pub fn fits(&self, group: &Group) -> bool {
        self.boot_cost(group) <= self.budget
    }

    /// What the group costs if its machines boot, in MiB.
    pub fn boot_cost(&self, group: &Group) -> u64 {
        let each = self.platform.memory_cost(&group.spec);
        each.saturating_mul(u64::from(group.machines))
    }

    /// What the group costs when it starts, in MiB.
    pub fn cost(&self, group: &Group) -> u64 {
        match group.start {
            Start::Boot { .. } => self.boot_cost(group),
            // Those with several machines boot.
            Start::Clone(_) => self.platform.clone_memory_cost(&group.spec),
        }
    }
}

/// Runs the cases, and says in events what happens. Returns what the process is to exit with.
///
/// `skipped` are tests that are known not to run. The artefacts' directories are made by the platform, in
/// `options.output_dir`.
pub async fn run(
    platform: Arc<dyn Platform>,
    cases: Vec<Case>,
    skipped: Vec<(String, SkipReason)>,
    options: RunOptions,
    events: EventSender,
    control: Control,
) -> ExitCode {
    let started = Instant::now();
    let cases = prepared(cases, &options);
    let seed = Utc::now().timestamp_micros().unsigned_abs();
    let planner = Planner::new(&cases, &options, Some(&*platform));
    // An earlier run's machines were not rebased to what this run's are to be.
    let found = match options.oscontainer {
        None => find_templates(&platform, planner.orders(), &control).await,
        Some(_) => BTreeMap::new(),
    };
    let layout = planner.layout(&found.keys().copied().collect());
    let (orders, seeds) = (planner.orders().to_vec(), planner.seeds().to_vec());
    let plan = layout.describe(&cases);
    let measured = || host_memory().map(|memory| memory.available_mib);
    let run = Arc::new(Run {
        budget: options
            .memory_budget_mib
            .or_else(measured)
            .unwrap_or(u64::MAX),
        factor: factor(&options, platform.facts()),
        ledger: Ledger::new(&plan, events.clone()),
        processors: Processors::new(host_cpus()),
        distro: Distro::new(&options),
        shell_turn: Mutex::new(()),
        seeds,
        notes: Notes::default(),
        platform,
        cases,
        options,
        events,
        control,
    });
    run.events.send(EventKind::RunStarted {
        run: run.info(),
        plan,
    });
    for (test, reason) in skipped {
        run.events.send(EventKind::TestSkipped {
            test,
            verdict: Verdict::Skip { reason },
        });
    }
    for template in found.values() {
        let guest = template.guest();
        run.learn_distro(&guest.os_id, guest.variant_id.as_deref());
    }
    for warning in overridden(&run.cases, &run.options.append) {
        run.events.warn(warning);
    }
    let numbers = unit_numbers(&run.cases);
    let first = first_stage(&run, &layout, &orders, &found, &numbers);
    let rerun = first.run().await;
    let mut again = Stage::new(&run);
    for (member, after) in rerun {
        again.add(Work::Group(run.rerun_group(member)), Some(after));
    }
    again.run().await;
    if !run.control.is_draining() {
        let mut verification = Stage::new(&run);
        for work in run.verifications(&numbers, seed) {
            verification.add(work, None);
        }
        verification.run().await;
    }
    // Every test has its verdict by now, unless there is a bug.
    run.ledger.close_all(&infra(
        InfraCause::Harness,
        "the test was forgotten; this is a bug in kolea",
    ));
    match timeout(CLOSE_LIMIT, run.platform.close()).await {
        Ok(left) => left
            .into_iter()
            .for_each(|line| run.events.warn(format!("left behind: {line}"))),
        Err(_) => run.events.warn(format!(
            "the platform's clean-up took longer than {} s and was given up",
            CLOSE_LIMIT.as_secs()
        )),
    }
    let jobs = run.notes.take_jobs();
    let bound = lower_bound(&jobs, run.options.jobs);
    let exit = run.ledger.exit_code(run.options.warn_exit_77);
    run.events.send(EventKind::RunFinished {
        exit,
        seconds: started.elapsed().as_secs_f64(),
        lower_bound_seconds: (!jobs.is_empty()).then_some(bound),
    });
    exit
}

/// What every time limit is multiplied with.
fn factor(options: &RunOptions, facts: &PlatformFacts) -> f64 {
    let asked = options.timeout_factor.unwrap_or(facts.timeout_factor);
    let factor = if asked.is_finite() && asked > 0.0 {
        asked
    } else {
        1.0
    };
    factor * (1.0 + f64::from(options.extend_timeouts_percent) / 100.0)
}
