//! One attempt at a test.

use std::time::Duration;

use kolea_model::{Finding, InfraCause, Phase, Verdict};
use tokio::time::Instant;

use crate::cluster::{Cluster, launch_all};
use crate::external::{last_lines, run_external, skip_reason};
use crate::group::{Group, Member};
use crate::guard::Limit;
use crate::launch::{Start, setup_limit};
use crate::ledger::AttemptEnd;
use crate::native::run_native;
use crate::outcome::{
    Outcome, fail, finding_reason, findings_reason, infra, with_findings, with_template,
};
use crate::run::Run;
use crate::seat::Busy;
use crate::session::Session;
use crate::shell::show;

/// How long the checks after a test may take, before that is scaled.
const CHECK_LIMIT: Duration = Duration::from_secs(60);
const TEST_LIMIT: &str = "the test's time limit";

/// What came of a test that had a machine to itself.
pub(crate) struct Ride {
    pub end: AttemptEnd,
    /// How long a person looked at the machine.
    pub looked: Duration,
    /// Whether the machine was a clone that did not even get to where the test could run.
    pub clone_failed: bool,
}

/// Brings up the machines of one test, runs it there, and stops the machines.
pub(crate) async fn ride_alone(
    run: &Run,
    group: &Group,
    member: &Member,
    start: &Start,
    busy: Busy,
    quiet: bool,
) -> Ride {
    let test = run.test(member);
    let started = Instant::now();
    // kola's clock starts before the boot, but for tests that would rather share a machine.
    let own = test
        .exclusive
        .then(|| run.limit(started, test.time_limit(), TEST_LIMIT));
    let setup = setup_limit(run, start);
    let is_clone = matches!(start, Start::Clone(_));
    let setup = match &own {
        // A clone that does not wake is not the test's fault, however short its limit.
        Some(own) if !is_clone => own.min(setup),
        _ => setup,
    };
    let members = std::slice::from_ref(member);
    let (mut cluster, launched) = launch_all(run, group, members, start, busy, &setup).await;
    let outcome = match (&mut cluster, launched) {
        (Some(cluster), Ok(())) => {
            cluster.quiet(quiet);
            match cluster.set_up(group, members, &setup).await {
                Ok(()) => {
                    let own = own.map(|own| own.later(cluster.prepared()));
                    test_on(run, cluster, member, own).await
                }
                Err(outcome) => outcome,
            }
        }
        (_, Err(outcome)) => outcome,
        (None, Ok(())) => {
            let reason = "a test without machines; this is a bug in kolea";
            Outcome::broken(infra(InfraCause::Harness, reason))
        }
    };
    let (mut looked, mut findings) = (None, Vec::new());
    if let Some(cluster) = &cluster {
        findings = cluster.findings(false);
        let verdict = judged(outcome.verdict.clone(), &cluster.lead, &findings);
        looked = show(&cluster.lead, &test.name, &verdict, &test.on_failure).await;
    }
    let spent = |since: Instant| since.elapsed().saturating_sub(looked.unwrap_or_default());
    let ready = cluster.as_ref().and_then(Cluster::ready);
    let mut end = AttemptEnd {
        output: outcome.notes,
        seconds: Some(spent(started).as_secs_f64()),
        own_seconds: Some(ready.map_or(0.0, |ready| spent(ready).as_secs_f64())),
        ..outcome.verdict.into()
    };
    if let Some(mut cluster) = cluster {
        cluster.stop().await;
        if !outcome.trusted {
            end.output.push_str(&cluster.console_ends());
        }
        // What somebody did to the machine afterwards is no fault of it.
        if looked.is_none() {
            findings = cluster.findings(true);
        }
        complete(&mut end, &cluster.lead, &test.name, &[], &findings);
        end.artifacts.extend(cluster.other_artifacts());
    }
    Ride {
        end,
        looked: looked.unwrap_or_default(),
        clone_failed: is_clone && ready.is_none(),
    }
}

/// Runs a test on machines that are ready, and checks the machines' health afterwards.
pub(crate) async fn test_on(
    run: &Run,
    cluster: &mut Cluster<'_>,
    member: &Member,
    limit: Option<Limit>,
) -> Outcome {
    let case = &run.cases[member.index];
    let test = &case.test;
    if let Some(reason) = run.distro.excludes(test) {
        return Outcome::clean(Verdict::Skip { reason });
    }
    let limit = limit.unwrap_or_else(|| run.limit(Instant::now(), test.time_limit(), TEST_LIMIT));
    let (mut outcome, ends) = match (&member.unit, &case.native) {
        (Some(unit), _) => run_external(&mut cluster.lead, test, unit, &limit).await,
        (None, Some(native)) => (run_native(cluster, native, &limit).await, None),
        (None, None) => {
            let reason = "a compiled-in test without code; this is a bug in kolea";
            (Outcome::broken(infra(InfraCause::Harness, reason)), None)
        }
    };
    if !outcome.trusted {
        return outcome;
    }
    cluster.enter(Phase::Collecting, &test.name);
    let limit = run.limit(Instant::now(), CHECK_LIMIT, "the limit for the end checks");
    // The journal may take its time to say the last lines: journald tells its readers every 250 ms.
    let lines = ends.map(|ends| last_lines(&cluster.lead, &test.name, ends));
    let lines = async {
        if let Some(lines) = lines {
            lines.await;
        }
    };
    let checked = cluster
        .check_while(&limit, case.native.is_none(), lines)
        .await;
    if matches!(outcome.verdict, Verdict::Skip { .. }) && ends.is_some() {
        outcome.verdict = skip_reason(&cluster.lead, &test.name);
    }
    let news = match checked {
        Ok(news) => news,
        // The test failed already: what became of its machine is a detail.
        Err(after) if matches!(outcome.verdict, Verdict::Fail { .. }) => {
            outcome.trusted = false;
            Some(after.verdict.reason())
        }
        Err(after) => {
            return Outcome {
                notes: outcome.notes + &after.notes,
                ..after
            };
        }
    };
    if let Some(problem) = news {
        outcome.notes += &format!("--- after the test ---\n{problem}\n");
        if !matches!(outcome.verdict, Verdict::Fail { .. }) {
            outcome.verdict = fail(format!(
                "the machine is not healthy after the test: {problem}"
            ));
        }
    }
    outcome
}

/// The verdict, given what was found.
pub(crate) fn judged(verdict: Verdict, session: &Session<'_>, findings: &[Finding]) -> Verdict {
    let verdict = with_findings(verdict, findings);
    match &session.template {
        Some(template) => with_template(verdict, &template.name, &template.findings),
        None => verdict,
    }
}

/// Adds to an attempt what the machine knows about it.
pub(crate) fn complete(
    end: &mut AttemptEnd,
    session: &Session<'_>,
    test: &str,
    others: &[String],
    findings: &[Finding],
) {
    let mut output = session.watcher.output(test);
    output.push_str(&end.output);
    if findings_reason(findings).is_some() {
        output.push_str("--- found on the console and in the journal ---\n");
        for finding in findings {
            output.push_str(&format!("{}\n", finding_reason(finding)));
        }
    }
    if let Some(template) = &session.template
        && !template.findings.is_empty()
    {
        output.push_str(&format!("--- found while {} booted ---\n", template.name));
        for finding in &template.findings {
            output.push_str(&format!("{}\n", finding_reason(finding)));
        }
    }
    end.output = output;
    end.artifacts = session.artifacts(test, others);
    let verdict = std::mem::replace(&mut end.verdict, Verdict::Pass);
    end.verdict = judged(verdict, session, findings);
}
