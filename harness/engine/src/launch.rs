//! Brings a machine from its order to where tests can run on it.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::agent::{Onto, TestUnit, copy_to_home, end_marker, install};
use kolea_machine::{Attachment, CloneRequest, LaunchRequest, Provision};
use kolea_model::{
    EventKind, ExternalTest, InfraCause, MachineSpec, Origin, Phase, TestSource, Verdict,
};
use tokio::time::Instant;

use crate::group::{Group, Member};
use crate::guard::{Guard, Limit, Stop};
use crate::outcome::{Outcome, infra, verdict_of_error};
use crate::plan::merged_configs;
use crate::run::Run;
use crate::seat::Busy;
use crate::session::Session;
use crate::template::Frozen;
use crate::trace::Traced;
use crate::watch::{WatchOrder, WatchedTest, Watcher};

/// How long a machine may take from its order to the first test (kola's limit for SSH after a boot).
const BOOT_LIMIT: Duration = Duration::from_secs(600);
/// How long a clone may take to answer. It only has to wake.
const CLONE_LIMIT: Duration = Duration::from_secs(60);

/// Where a machine's state comes from.
#[derive(Clone, Debug)]
pub(crate) enum Start {
    /// It boots.
    Boot {
        /// Why it is no clone, if it could have been expected to be one.
        why: Option<String>,
    },
    /// It is restored.
    Clone(Arc<Frozen>),
}

/// An order for a machine.
#[derive(Debug)]
pub(crate) struct Launch<'a> {
    /// The group's name.
    pub owner: &'a str,
    /// Where the machine's directory goes.
    pub dir: &'a Path,
    pub spec: MachineSpec,
    pub start: &'a Start,
    /// What its boot is to bring about; nothing to a clone.
    pub provision: Provision,
    /// The tests that will run on it.
    pub watched: Vec<WatchedTest>,
    /// Whether base checks and rules are left out.
    pub skip_checks: bool,
    pub freezable: bool,
    /// Whether it is no single test's yet, so that an interrupted run does without it.
    pub stop_on_drain: bool,
    /// Its place in its group's network, if it has one.
    pub network: Option<Attachment>,
}

impl<'a> Launch<'a> {
    /// A machine of a group for these tests.
    pub fn for_members(
        run: &Run,
        group: &'a Group,
        members: &[Member],
        start: &'a Start,
    ) -> Launch<'a> {
        let tests = || members.iter().map(|member| run.test(member));
        let units = || {
            members
                .iter()
                .filter_map(|member| Some((member, member.unit.as_ref()?)))
        };
        Launch {
            owner: &group.name,
            dir: &group.dir,
            spec: group.spec.clone(),
            start,
            provision: Provision {
                configs: merged_configs(&run.options.append, tests()),
                units: units().map(|(_, unit)| unit.unit()).collect(),
            },
            watched: units()
                .map(|(member, unit)| WatchedTest {
                    test: run.test(member).name.clone(),
                    unit: unit.name().to_owned(),
                    identifier: unit.identifier().to_owned(),
                    end_marker: end_marker(unit),
                })
                .collect(),
            skip_checks: tests().all(|test| test.needs.skip_base_checks),
            freezable: false,
            stop_on_drain: group.shared,
            network: None,
        }
    }
}

/// By when a machine has to be where tests can run on it.
pub(crate) fn setup_limit(run: &Run, start: &Start) -> Limit {
    let (limit, what) = match start {
        Start::Boot { .. } => (BOOT_LIMIT, "the boot limit"),
        Start::Clone(_) => (CLONE_LIMIT, "the limit for a clone"),
    };
    run.limit(Instant::now(), limit, what)
}

/// Orders a machine, and begins to watch it. `busy`: the processors that it may keep busy until it is ready.
pub(crate) async fn launch<'a>(
    run: &'a Run,
    order: Launch<'a>,
    busy: Busy,
    limit: &Limit,
) -> Result<Session<'a>, Outcome> {
    let ordered = Instant::now();
    run.phase(order.owner, None, Phase::Preparing);
    let guard = Guard {
        stop_on_drain: order.stop_on_drain,
        ..Guard::new(&run.control, limit)
    };
    let started = async {
        match order.start {
            Start::Boot { .. } => {
                let request = LaunchRequest {
                    owner: order.owner.to_owned(),
                    dir: order.dir.to_path_buf(),
                    spec: order.spec,
                    provision: order.provision,
                    freezable: order.freezable,
                    network: order.network,
                };
                run.platform.launch(request).await
            }
            Start::Clone(frozen) => {
                let request = CloneRequest {
                    owner: order.owner.to_owned(),
                    dir: order.dir.to_path_buf(),
                    template: Arc::clone(&frozen.template),
                };
                run.platform.launch_clone(request).await
            }
        }
    };
    let machine = match guard.race(started).await {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) => {
            return Err(Outcome::broken(verdict_of_error(&error, Phase::Preparing)));
        }
        // A clone that does not start is no test's fault.
        Err(Stop::Limit(limit)) if matches!(order.start, Start::Clone(_)) => {
            return Err(Outcome::broken(infra(
                InfraCause::Boot,
                format!(
                    "{} is over before the clone's process was there",
                    limit.text
                ),
            )));
        }
        Err(Stop::Limit(limit)) => {
            return Err(Outcome::broken(Verdict::Timeout {
                phase: Phase::Preparing,
                reason: format!(
                    "{} is over before the machine's process was there",
                    limit.text
                ),
            }));
        }
        Err(Stop::Kill) => {
            return Err(Outcome::broken(Verdict::Lost {
                reason: format!("killed while {}", Phase::Preparing),
            }));
        }
        Err(_) => return Err(Outcome::broken(run.not_started())),
    };
    let (origin, template) = match order.start {
        Start::Boot { why } => (Origin::Boot { why: why.clone() }, None),
        Start::Clone(frozen) => (
            Origin::Clone {
                template: frozen.name.clone(),
                dir: run.relative(frozen.template.dir()),
            },
            Some(Arc::clone(frozen)),
        ),
    };
    run.events.send(EventKind::MachineStarted {
        machine: machine.id().to_owned(),
        owner: order.owner.to_owned(),
        dir: run.relative(machine.dir()),
        origin,
    });
    let watch = WatchOrder {
        machine: machine.id().to_owned(),
        owner: order.owner.to_owned(),
        dir: machine.dir().to_path_buf(),
        tests: order.watched,
        rules: (!order.skip_checks).then(|| run.distro.rules()),
        findings_count: run.options.console_rules,
    };
    let watcher = Watcher::start(watch, machine.take_lines(), run.events.clone());
    let machine = Traced::new(machine, order.owner, run.events.clone());
    machine.flush();
    let mut session = Session::new(run, order.owner, machine, watcher, order.skip_checks);
    session.ordered = ordered;
    session.busy = Some(busy);
    session.template = template;
    Ok(session)
}

/// Brings a machine to where the tests can run on it.
pub(crate) async fn set_up(
    session: &mut Session<'_>,
    group: &Group,
    members: &[Member],
    limit: &Limit,
) -> Result<(), Outcome> {
    if group.spec.console_only {
        session.watch_only();
        return Ok(());
    }
    session.boot(limit, group.shared).await?;
    let tests: Vec<(&TestUnit, &ExternalTest)> = members
        .iter()
        .filter_map(|member| match &session.run.test(member).source {
            TestSource::External(external) => Some((member.unit.as_ref()?, external)),
            TestSource::Native => None,
        })
        .collect();
    let cases = members.iter().map(|member| session.run.test(member));
    let container = match &session.run.options.container {
        Some(container) if cases.into_iter().any(|test| test.inject_container) => {
            Some(container.clone())
        }
        _ => None,
    };
    if tests.is_empty() && container.is_none() {
        return Ok(());
    }
    session.enter(Phase::Installing, None);
    let machine = Arc::clone(&session.machine);
    // A clone's own limit is for waking up; its tests may bring as much data as those of a machine that boots.
    let (onto, limit) = match &session.template {
        Some(_) => {
            let now = Instant::now();
            let limit = session
                .run
                .limit(now, BOOT_LIMIT, "the limit for copying the tests");
            (Onto::Clone, limit)
        }
        None => (Onto::Provisioned, limit.clone().later(session.prepared)),
    };
    let work = async {
        if !tests.is_empty() {
            install(&*machine, &tests, onto).await?;
        }
        match container {
            Some(container) => copy_to_home(&*machine, &container).await,
            None => Ok(()),
        }
    };
    match session.race(&limit, true, work).await {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(session.explain_error(error, None).await),
        Err(stop) => Err(session.explain(stop, None).await),
    }
}
