//! Runs a plan: starts groups as slots and memory allow, and sees that every test gets its last word.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::agent::TestUnit;
use kolea_machine::{Platform, PlatformFacts};
use kolea_model::{
    EventKind, ExitCode, InfraCause, Phase, RunInfo, SkipReason, TestCase, TestSource, Verdict,
};
use tokio::task::{Id, JoinSet};
use tokio::time::{Instant, timeout};

use crate::admission::Admission;
use crate::group::{Group, Member, run_group};
use crate::guard::Limit;
use crate::host::host_memory;
use crate::ledger::Ledger;
use crate::outcome::infra;
use crate::plan::{PlannedMachine, describe, machines, unit_numbers};
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
    budget: u64,
}

impl Run {
    /// The facts that the reports are to show.
    fn info(&self) -> RunInfo {
        let facts = self.platform.facts();
        RunInfo {
            platform: facts.name.clone(),
            arch: facts.arch.clone(),
            jobs: self.options.jobs,
            timeout_factor: self.factor,
            properties: facts.properties.clone(),
            ..self.options.info.clone()
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

    fn group(&self, planned: &PlannedMachine, numbers: &HashMap<usize, usize>) -> Group {
        let members = planned.members.iter().map(|index| {
            let test = &self.cases[*index].test;
            Member {
                index: *index,
                unit: match test.source {
                    TestSource::External(_) => {
                        Some(TestUnit::new(test, numbers.get(index).copied()))
                    }
                    TestSource::Native => None,
                },
                spoiled: 0,
                first: None,
            }
        });
        Group {
            members: members.collect(),
            spec: self.platform.resolve(&self.needs_of(planned.members[0])),
            dir: self.options.output_dir.join(&planned.name),
            name: planned.name.clone(),
            shared: planned.shared,
        }
    }

    fn needs_of(&self, index: usize) -> kolea_model::MachineNeeds {
        self.cases[index].test.needs.clone()
    }

    fn rerun_group(&self, member: Member) -> Group {
        let name = format!("rerun/{}", self.test(&member).name);
        Group {
            spec: self.platform.resolve(&self.needs_of(member.index)),
            dir: self.options.output_dir.join(&name),
            members: vec![member],
            shared: false,
            name,
        }
    }

    fn cost(&self, group: &Group) -> u64 {
        self.platform.memory_cost(&group.spec)
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
    let planned = machines(&cases, &options.expected.tests);
    let plan = describe(&planned, &cases);
    let measured = || host_memory().map(|memory| memory.available_mib);
    let run = Arc::new(Run {
        budget: options
            .memory_budget_mib
            .or_else(measured)
            .unwrap_or(u64::MAX),
        factor: factor(&options, platform.facts()),
        ledger: Ledger::new(&plan, events.clone()),
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
    let numbers = unit_numbers(&run.cases).into_iter().collect();
    let groups = planned
        .iter()
        .map(|machine| run.group(machine, &numbers))
        .collect();
    let rerun = schedule(&run, groups).await;
    let again = rerun
        .into_iter()
        .map(|member| run.rerun_group(member))
        .collect();
    schedule(&run, again).await;
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
    let exit = run.ledger.exit_code(run.options.warn_exit_77);
    run.events.send(EventKind::RunFinished {
        exit,
        seconds: started.elapsed().as_secs_f64(),
        lower_bound_seconds: None,
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

/// Runs groups until none is left. Returns the tests that are to run once more.
async fn schedule(run: &Arc<Run>, groups: Vec<Group>) -> Vec<Member> {
    let mut admission = Admission::new(run.options.jobs, run.budget);
    for group in groups {
        let cost = run.cost(&group);
        if let Err(group) = admission.push(group, cost) {
            too_big(run, &group, cost);
        }
    }
    let mut tasks: JoinSet<Vec<Member>> = JoinSet::new();
    let mut running: HashMap<Id, (Arc<Group>, u64)> = HashMap::new();
    let mut rerun = Vec::new();
    let mut drained = false;
    loop {
        if !drained && run.control.is_draining() {
            drained = true;
            run.announce_interruption();
            for group in admission.drain() {
                run.lose(&group.members);
            }
        }
        while !drained && let Some((group, cost)) = admission.take() {
            let group = Arc::new(group);
            let task = {
                let (run, group) = (Arc::clone(run), Arc::clone(&group));
                async move { run_group(&run, &group).await }
            };
            running.insert(tasks.spawn(task).id(), (group, cost));
        }
        let ended = tokio::select! {
            ended = tasks.join_next_with_id() => ended,
            () = run.control.draining(), if !drained => continue,
        };
        let (id, members) = match ended {
            None => break,
            Some(Ok((id, members))) => (id, Ok(members)),
            Some(Err(error)) => (error.id(), Err(error)),
        };
        let Some((group, cost)) = running.remove(&id) else {
            continue;
        };
        admission.release(cost);
        match members {
            Ok(members) => rerun.extend(members),
            Err(error) => {
                let reason =
                    format!("kolea's own task ended early: {error}; this is a bug in kolea");
                let verdict = infra(InfraCause::Harness, reason);
                finish_members(run, &group, &verdict);
                run.ledger.finish_group(&group.name, 0.0, verdict);
            }
        }
    }
    if run.control.is_draining() {
        run.lose(&std::mem::take(&mut rerun));
    }
    rerun
}

fn finish_members(run: &Run, group: &Group, verdict: &Verdict) {
    let names = group
        .members
        .iter()
        .map(|member| run.test(member).name.as_str());
    run.ledger.finish_rest(names, verdict);
}

/// The group's machine can never fit.
fn too_big(run: &Run, group: &Group, cost: u64) {
    let budget = run.budget;
    let verdict = infra(
        InfraCause::OutOfMemory,
        format!(
            "a machine with {} MiB needs {cost} MiB of the host, which has {budget} MiB for machines: \
             free some memory or ask for smaller machines",
            group.spec.memory_mib
        ),
    );
    run.events.send(EventKind::GroupStarted {
        group: group.name.clone(),
        shared: group.shared,
    });
    for member in &group.members {
        run.ledger.start(&run.test(member).name, &group.name);
    }
    finish_members(run, group, &verdict);
    run.ledger.finish_group(&group.name, 0.0, Verdict::Pass);
}
