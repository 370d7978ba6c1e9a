//! Brings a machine from its order to where tests can run on it.

use std::collections::BTreeSet;
use std::sync::Arc;

use kolea_machine::agent::{Onto, TestUnit, end_marker, install};
use kolea_machine::{LaunchRequest, Provision};
use kolea_model::{EventKind, ExternalTest, Origin, Phase, TestSource, Verdict};

use crate::group::{Group, Member};
use crate::guard::{Guard, Limit, Stop};
use crate::outcome::{Outcome, verdict_of_error};
use crate::run::Run;
use crate::session::Session;
use crate::watch::{WatchOrder, WatchedTest, Watcher};

/// Orders a machine of a group for these tests, and begins to watch it.
pub(crate) async fn launch<'a>(
    run: &'a Run,
    group: &'a Group,
    members: &[Member],
    limit: &Limit,
) -> Result<Session<'a>, Outcome> {
    run.phase(&group.name, None, Phase::Preparing);
    let mut provision = Provision::default();
    let mut texts = BTreeSet::new();
    let mut watched = Vec::new();
    for member in members {
        let test = run.test(member);
        // One file may serve several tests by links; merging it with itself would be no use.
        if let Some(config) = &test.config
            && texts.insert(config.text.clone())
        {
            provision.configs.push(config.clone());
        }
        if let Some(unit) = &member.unit {
            provision.units.push(unit.unit());
            watched.push(WatchedTest {
                test: test.name.clone(),
                unit: unit.name().to_owned(),
                identifier: unit.identifier().to_owned(),
                end_marker: end_marker(unit),
            });
        }
    }
    let request = LaunchRequest {
        owner: group.name.clone(),
        dir: group.dir.clone(),
        spec: group.spec.clone(),
        provision,
        freezable: false,
    };
    let guard = Guard {
        stop_on_drain: group.shared,
        ..Guard::new(&run.control, limit)
    };
    let machine = match guard.race(run.platform.launch(request)).await {
        Ok(Ok(machine)) => machine,
        Ok(Err(error)) => {
            return Err(Outcome::broken(verdict_of_error(&error, Phase::Preparing)));
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
    run.events.send(EventKind::MachineStarted {
        machine: machine.id().to_owned(),
        owner: group.name.clone(),
        dir: run.relative(machine.dir()),
        origin: Origin::default(),
    });
    let skip_checks = members
        .iter()
        .all(|member| run.test(member).needs.skip_base_checks);
    let order = WatchOrder {
        machine: machine.id().to_owned(),
        owner: group.name.clone(),
        dir: machine.dir().to_path_buf(),
        tests: watched,
        rules: !skip_checks,
        findings_count: run.options.console_rules,
    };
    let watcher = Watcher::start(order, machine.take_lines(), run.events.clone());
    Ok(Session::new(
        run,
        &group.name,
        machine,
        watcher,
        skip_checks,
    ))
}

/// Brings a machine to where the tests can run on it.
pub(crate) async fn set_up(
    session: &mut Session<'_>,
    group: &Group,
    members: &[Member],
    limit: &Limit,
) -> Result<(), Outcome> {
    session.boot(limit, group.shared).await?;
    let tests: Vec<(&TestUnit, &ExternalTest)> = members
        .iter()
        .filter_map(|member| match &session.run.test(member).source {
            TestSource::External(external) => Some((member.unit.as_ref()?, external)),
            TestSource::Native => None,
        })
        .collect();
    if tests.is_empty() {
        return Ok(());
    }
    session.enter(Phase::Installing, None);
    let machine = Arc::clone(&session.machine);
    match session
        .race(limit, true, install(&*machine, &tests, Onto::Provisioned))
        .await
    {
        Ok(Ok(())) => Ok(()),
        Ok(Err(error)) => Err(session.explain_error(error, None).await),
        Err(stop) => Err(session.explain(stop, None).await),
    }
}
