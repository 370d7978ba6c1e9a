//! Makes a template: boots a machine to where a test would start, checks it, and freezes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::{MachineError, Template, TemplateOrder};
use kolea_model::{EventKind, Finding, InfraCause, OnFailure, Phase, Verdict};
use tokio::time::Instant;

use crate::guard::{Guard, Stop};
use crate::launch::{Launch, Start, launch, setup_limit};
use crate::ledger::AttemptEnd;
use crate::outcome::{Outcome, infra, of_their_machine, verdict_of_error};
use crate::run::Run;
use crate::seat::Busy;
use crate::session::Session;
use crate::shell::show;

/// How long preparing and freezing a machine may take, before that is scaled.
const FREEZE_LIMIT: Duration = Duration::from_secs(180);
/// What a platform calls the step of [`Platform::freeze`](kolea_machine::Platform::freeze) in which the state is saved.
const SAVE_STEP: &str = "save";

/// A template that clones can be made of.
#[derive(Debug)]
pub(crate) struct Frozen {
    /// Its name, which is that of its group.
    pub name: String,
    pub template: Arc<dyn Template>,
    /// What was found while it booted.
    pub findings: Vec<Finding>,
}

/// A template to be made.
#[derive(Clone, Debug)]
pub(crate) struct TemplateJob {
    /// Its name, and that of its group.
    pub name: String,
    /// Where its machine's directory goes.
    pub dir: PathBuf,
    pub order: TemplateOrder,
    /// Who starts first: the highest.
    pub priority: f64,
}

/// What came of it.
#[derive(Debug)]
pub(crate) enum Made {
    /// It is there, and saving it took so many seconds.
    Ready(Arc<Frozen>, f64),
    /// It could not be made, though the image is not to blame.
    Failed(String),
    /// The image does not get to where a test could start.
    Faulty(Fault),
    /// The run was interrupted.
    Lost,
}

/// Why no machine like that can be used, and what shows it.
#[derive(Clone, Debug)]
pub(crate) struct Fault {
    pub verdict: Verdict,
    pub output: String,
    pub artifacts: BTreeMap<String, PathBuf>,
}

impl Fault {
    /// The end of an attempt at a test that would have started from there.
    pub fn attempt(&self) -> AttemptEnd {
        AttemptEnd {
            output: self.output.clone(),
            artifacts: self.artifacts.clone(),
            own_seconds: Some(0.0),
            ..of_their_machine(&self.verdict).into()
        }
    }
}

/// Makes a template. Returns also how long that took, in seconds, without what it waited for the host.
pub(crate) async fn make_template(run: &Run, job: &TemplateJob) -> (Made, f64) {
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    run.events.send(EventKind::GroupStarted {
        group: job.name.clone(),
        shared: false,
    });
    let (mut spoiled, mut faulty) = (0, false);
    let made = loop {
        let began = Instant::now();
        let busy = run.processors(&job.order.spec, 1).await;
        waited += began.elapsed();
        let Some(busy) = busy else {
            break Made::Lost;
        };
        let fault = match attempt(run, job, busy).await {
            Ok((frozen, seconds)) => break Made::Ready(Arc::new(frozen), seconds),
            Err(fault) => fault,
        };
        if run.control.is_draining() {
            break Made::Lost;
        }
        let again = match &fault.verdict {
            Verdict::Infra { .. } if spoiled < run.options.infra_retries => {
                spoiled += 1;
                format!("{spoiled} of {}", run.options.infra_retries)
            }
            Verdict::Infra { .. } => break Made::Failed(fault.verdict.reason()),
            _ if !faulty => {
                faulty = true;
                "to be sure".to_owned()
            }
            _ => break Made::Faulty(fault),
        };
        run.events.warn(format!(
            "{}: {}; trying again on a fresh machine ({again})",
            job.name,
            fault.verdict.reason()
        ));
    };
    let seconds = started.elapsed();
    // Whatever came of it, the tests that would start from there answer for it.
    run.ledger
        .finish_group(&job.name, seconds.as_secs_f64(), Verdict::Pass);
    (made, seconds.saturating_sub(waited).as_secs_f64())
}

async fn attempt(run: &Run, job: &TemplateJob, busy: Busy) -> Result<(Frozen, f64), Fault> {
    let start = Start::Boot { why: None };
    let limit = setup_limit(run, &start);
    let order = Launch {
        owner: &job.name,
        dir: &job.dir,
        spec: job.order.spec.clone(),
        start: &start,
        provision: job.order.provision.clone(),
        watched: Vec::new(),
        skip_checks: false,
        freezable: true,
        stop_on_drain: true,
        network: None,
    };
    let mut session = match launch(run, order, busy, &limit).await {
        Ok(session) => session,
        Err(outcome) => {
            return Err(Fault {
                verdict: outcome.verdict,
                output: outcome.notes,
                artifacts: BTreeMap::new(),
            });
        }
    };
    let frozen = match session.boot(&limit, true).await {
        Ok(()) => freeze(run, job, &mut session).await,
        Err(outcome) => Err(outcome),
    };
    if let Err(outcome) = &frozen {
        show(&session, &job.name, &outcome.verdict, &OnFailure::Fail).await;
    }
    session.stop().await;
    let outcome = match frozen {
        Ok((template, seconds)) => match session.watcher.fatal_so_far() {
            // It came with the last lines.
            Some(_) => {
                template.withdraw();
                session.explain(Stop::Fatal, None).await
            }
            None => {
                if session.watcher.found_anything() {
                    template.withdraw();
                }
                let frozen = Frozen {
                    name: job.name.clone(),
                    template,
                    findings: session.watcher.findings_since(0),
                };
                return Ok((frozen, seconds));
            }
        },
        Err(outcome) => outcome,
    };
    Err(Fault {
        verdict: outcome.verdict,
        output: outcome.notes + &session.watcher.console_end(),
        artifacts: session.artifacts("", &[]),
    })
}

/// Freezes a machine that is ready. Returns also how long saving its state took, in seconds. Unless the kernel gives up
/// meanwhile, a failure is never the image's fault: its boot was in order.
async fn freeze(
    run: &Run,
    job: &TemplateJob,
    session: &mut Session<'_>,
) -> Result<(Arc<dyn Template>, f64), Outcome> {
    session.enter(Phase::Freezing, None);
    let started = Instant::now();
    let limit = run.limit(started, FREEZE_LIMIT, "the limit for freezing a machine");
    // A template whose boot has a fault is not for later runs, which would not see it.
    let keep = run.options.keeps_templates() && !session.watcher.found_anything();
    let work = run
        .platform
        .freeze(session.traced.inner(), &job.order, keep);
    // That the machine stops is a part of it.
    let guard = Guard {
        watcher: Some(&session.watcher),
        stop_on_drain: true,
        ..Guard::new(&run.control, &limit)
    };
    let frozen = guard.race(work).await;
    let seconds = started.elapsed().as_secs_f64();
    let saving = session.traced.flush();
    match frozen {
        Ok(Ok(template)) => {
            let save = saving.iter().find(|step| step.name == SAVE_STEP);
            Ok((template, save.map_or(seconds, |step| step.seconds)))
        }
        Ok(Err(error @ MachineError::Down(_))) => Err(session.explain_error(error, None).await),
        Ok(Err(error)) => Err(Outcome::broken(
            match verdict_of_error(&error, Phase::Freezing) {
                Verdict::Fail { reason } => infra(InfraCause::Harness, reason),
                verdict => verdict,
            },
        )),
        Err(Stop::Limit(limit)) => Err(Outcome::broken(infra(
            InfraCause::Harness,
            format!("{} is over", limit.text),
        ))),
        Err(stop) => Err(session.explain(stop, None).await),
    }
}
