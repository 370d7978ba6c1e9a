//! The life of an external test on a booted machine: its unit, its reboots, its end.

use std::sync::Arc;
use std::time::Duration;

use kolea_machine::agent::{TestUnit, UnitEnd, reboot, run_unit, unit_status};
use kolea_model::{Phase, SkipReason, TestCase, Verdict};

use crate::guard::Limit;
use crate::outcome::{Outcome, fail};
use crate::session::Session;

/// How long a reboot may take: kola allows 120 s for going down and 10 min for coming up.
pub(crate) const REBOOT_LIMIT: Duration = Duration::from_secs(120 + 600);
/// How long the test's last lines may take to arrive in the journal.
const LAST_LINES: Duration = Duration::from_secs(10);
/// How long the unit's status may take.
const STATUS_LIMIT: Duration = Duration::from_secs(10);

/// Runs the test's unit to its end, through all of its reboots. If it came to its end, its last lines are still on their way:
/// how often its unit had ended before is what [`last_lines`] needs to wait for them.
pub(crate) async fn run_external(
    session: &mut Session<'_>,
    test: &TestCase,
    unit: &TestUnit,
    limit: &Limit,
) -> (Outcome, Option<usize>) {
    let name = test.name.as_str();
    let machine = Arc::clone(&session.machine);
    let mut mark: Option<String> = None;
    // A failed test leaves a failed unit behind, which must not be held against the next one.
    session.expect_failure_of(unit.name());
    session.watcher.open_log(name);
    loop {
        session.enter(Phase::Running, Some(name));
        let ends = session.watcher.ends(name);
        let work = run_unit(&*machine, unit, mark.as_deref(), test.exclusive);
        let end = match session.race(limit, true, work).await {
            Ok(Ok(end)) => end,
            Ok(Err(error)) => {
                let mut outcome = session.explain_error(error, Some(name)).await;
                if outcome.trusted {
                    outcome.notes = status(session, unit).await;
                }
                return (outcome, None);
            }
            Err(stop) => {
                let mut outcome = session.explain(stop, Some(name)).await;
                if matches!(outcome.verdict, Verdict::Timeout { .. }) {
                    outcome.notes = status(session, unit).await;
                }
                return (outcome, None);
            }
        };
        let verdict = match end {
            UnitEnd::Reboot { soft, .. } if !test.exclusive => {
                let what = if soft { "soft reboot" } else { "reboot" };
                let reason = format!("the test asked for a {what}, which only exclusive tests may");
                return (Outcome::broken(fail(reason)), None);
            }
            UnitEnd::Reboot { mark: next, soft } => {
                if let Err(outcome) = go_through_reboot(session, name, limit, soft).await {
                    return (outcome, None);
                }
                mark = Some(next);
                continue;
            }
            UnitEnd::Passed => Verdict::Pass,
            UnitEnd::Skipped => Verdict::Skip {
                reason: SkipReason::ByTest {
                    message: String::new(),
                },
            },
            UnitEnd::Failed { reason } => fail(format!("unit {} {reason}", unit.name())),
        };
        session.enter(Phase::Collecting, Some(name));
        let notes = match verdict {
            Verdict::Fail { .. } => status(session, unit).await,
            _ => String::new(),
        };
        let outcome = Outcome {
            notes,
            ..Outcome::clean(verdict)
        };
        return (outcome, Some(ends));
    }
}

/// Waits until everything that a test has printed is in its log. `ends`: how often its unit had ended before.
pub(crate) fn last_lines(
    session: &Session<'_>,
    test: &str,
    ends: usize,
) -> impl Future<Output = ()> + use<> {
    let watcher = session.watcher.clone();
    let limit = session.run.scaled(LAST_LINES);
    let test = test.to_owned();
    async move { watcher.ended(&test, ends, limit).await }
}

/// A test that skips says why in its last line.
pub(crate) fn skip_reason(session: &Session<'_>, test: &str) -> Verdict {
    let said = session.watcher.last_output(test);
    Verdict::Skip {
        reason: SkipReason::ByTest {
            message: said.unwrap_or_else(|| "exit status 77, without a word".to_owned()),
        },
    }
}

/// Lets the machine reboot, and checks its health again.
async fn go_through_reboot(
    session: &mut Session<'_>,
    name: &str,
    limit: &Limit,
    soft: bool,
) -> Result<(), Outcome> {
    let phase = if soft {
        Phase::SoftRebooting
    } else {
        Phase::Rebooting
    };
    session.enter(phase, Some(name));
    let reboot_limit = Limit::after(session.run.scaled(REBOOT_LIMIT), "the reboot limit");
    let machine = Arc::clone(&session.machine);
    let before = session.boot.clone();
    let sshd_unit = session.run.distro.profile().sshd_unit.clone();
    let work = reboot(&*machine, &before, soft, &sshd_unit);
    match session.race(&limit.min(reboot_limit), false, work).await {
        Ok(Ok(boot)) => session.boot = boot,
        Ok(Err(error)) => return Err(session.explain_error(error, Some(name)).await),
        Err(stop) => return Err(session.explain(stop, Some(name)).await),
    }
    session.forgive_resets();
    session.enter(Phase::Checking, Some(name));
    match session.check(limit, true).await? {
        Some(problem) => Err(Outcome::clean(fail(format!(
            "the machine is not healthy after its reboot: {problem}"
        )))),
        None => Ok(()),
    }
}

/// The unit's status for the test's output; why there is none otherwise.
async fn status(session: &mut Session<'_>, unit: &TestUnit) -> String {
    let machine = Arc::clone(&session.machine);
    let limit = Limit::after(
        session.run.scaled(STATUS_LIMIT),
        "the limit for the unit's status",
    );
    let text = match session
        .race(&limit, false, unit_status(&*machine, unit))
        .await
    {
        Ok(Ok(text)) => text,
        Ok(Err(error)) => format!("not available: {error}"),
        Err(_) => "not available: the machine did not answer".to_owned(),
    };
    format!("--- status of {} ---\n{}\n", unit.name(), text.trim_end())
}
