//! Runs a group: machine after machine, until each of its tests has a verdict.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

use kolea_machine::agent::TestUnit;
use kolea_model::{EventKind, Finding, InfraCause, MachineSpec, Phase, Verdict};
use tokio::time::Instant;

use crate::external::run_external;
use crate::guard::Limit;
use crate::launch::{launch, set_up};
use crate::ledger::AttemptEnd;
use crate::native::run_native;
use crate::outcome::{Outcome, fail, finding_reason, findings_reason, infra, with_findings};
use crate::policy::{Next, next, soften};
use crate::run::Run;
use crate::session::Session;

/// How long a machine may take from its order to the first test (kola's limit for SSH after a boot).
const BOOT_LIMIT: Duration = Duration::from_secs(600);
/// How long the checks after a test may take, before that is scaled.
const CHECK_LIMIT: Duration = Duration::from_secs(60);

/// A test of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its index in the cases.
    pub index: usize,
    /// Its unit, if it is an external test.
    pub unit: Option<TestUnit>,
    /// How many of its attempts the infrastructure has spoiled.
    pub spoiled: u32,
    /// What came of it the first time, if this is a rerun.
    pub first: Option<Verdict>,
}

/// Tests that go to one machine, or to a succession of machines.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its name.
    pub name: String,
    /// Where its machines' directories go.
    pub dir: PathBuf,
    /// Whether the machine is shared.
    pub shared: bool,
    /// The tests in order.
    pub members: Vec<Member>,
    /// What its machines are made of.
    pub spec: MachineSpec,
}

/// Runs the group. Returns the tests that are to run once more at the end.
pub(crate) async fn run_group(run: &Run, group: &Group) -> Vec<Member> {
    let started = Instant::now();
    run.events.send(EventKind::GroupStarted {
        group: group.name.clone(),
        shared: group.shared,
    });
    let mut tour = Tour {
        run,
        group,
        names: group
            .members
            .iter()
            .map(|member| run.test(member).name.clone())
            .collect(),
        queue: group.members.iter().cloned().collect(),
        failed_boots: 0,
        faults: Vec::new(),
        rerun: Vec::new(),
    };
    while !tour.queue.is_empty() {
        if group.shared {
            tour.shared_machine().await;
        } else {
            tour.own_machine().await;
        }
    }
    let verdict = match tour.faults.as_slice() {
        [] => Verdict::Pass,
        [only] => fail(only),
        [first, rest @ ..] => fail(format!("{first} (and {} more)", rest.len())),
    };
    let seconds = started.elapsed().as_secs_f64();
    run.ledger.finish_group(&group.name, seconds, verdict);
    tour.rerun
}

/// A group on its way.
struct Tour<'a> {
    run: &'a Run,
    group: &'a Group,
    /// All tests' names.
    names: Vec<String>,
    /// Tests without a verdict.
    queue: VecDeque<Member>,
    /// Boots in a row that the infrastructure has spoiled.
    failed_boots: u32,
    /// What no single test is to blame for.
    faults: Vec<String>,
    rerun: Vec<Member>,
}

impl<'a> Tour<'a> {
    /// One attempt at a test that has its machine to itself.
    async fn own_machine(&mut self) {
        let Some(member) = self.queue.pop_front() else {
            return;
        };
        let test = self.run.test(&member);
        let started = Instant::now();
        self.run.ledger.start(&test.name, &self.group.name);
        let setup = self.run.limit(started, BOOT_LIMIT, "the boot limit");
        // kola's clock starts before the boot, but for tests that would rather share a machine.
        let own = test
            .exclusive
            .then(|| self.run.limit(started, test.time_limit(), TEST_LIMIT));
        let setup = match &own {
            Some(own) => own.min(setup),
            None => setup,
        };
        let (outcome, session) = self.ride_alone(&member, &setup, own).await;
        let seconds = started.elapsed().as_secs_f64();
        let mut end = AttemptEnd {
            output: outcome.notes,
            seconds: Some(seconds),
            ..outcome.verdict.into()
        };
        if let Some(mut session) = session {
            session.stop().await;
            if !outcome.trusted {
                end.output.push_str(&session.watcher.console_end());
            }
            let mut findings = session.watcher.findings_since(0);
            findings.extend(session.watcher.fatal_so_far());
            self.complete(&mut end, &session, &test.name, &findings);
        }
        self.conclude(member, end);
    }

    async fn ride_alone(
        &self,
        member: &Member,
        setup: &Limit,
        own: Option<Limit>,
    ) -> (Outcome, Option<Session<'a>>) {
        let mut session =
            match launch(self.run, self.group, std::slice::from_ref(member), setup).await {
                Ok(session) => session,
                Err(outcome) => return (outcome, None),
            };
        let outcome = match set_up(
            &mut session,
            self.group,
            std::slice::from_ref(member),
            setup,
        )
        .await
        {
            Ok(()) => self.test_on(&mut session, member, own).await,
            Err(outcome) => outcome,
        };
        (outcome, Some(session))
    }

    /// One machine for all tests that have no verdict yet, until none is left or the machine is no good any more.
    async fn shared_machine(&mut self) {
        if self.run.control.is_draining() {
            return self.lose_queue();
        }
        let members: Vec<Member> = self.queue.iter().cloned().collect();
        let setup = self.run.limit(Instant::now(), BOOT_LIMIT, "the boot limit");
        let mut session = match launch(self.run, self.group, &members, &setup).await {
            Ok(session) => session,
            Err(outcome) => return self.never_ready(&outcome, None),
        };
        if let Err(outcome) = set_up(&mut session, self.group, &members, &setup).await {
            session.stop().await;
            return self.never_ready(&outcome, Some(&session));
        }
        self.failed_boots = 0;
        let mut blamed = 0;
        while !self.run.control.is_draining() {
            let Some(member) = self.queue.pop_front() else {
                break;
            };
            let test = self.run.test(&member);
            self.run.ledger.start(&test.name, &self.group.name);
            let before = session.watcher.findings();
            self.blame_nobody(&session.watcher.findings_since(blamed), before - blamed);
            let outcome = self.test_on(&mut session, &member, None).await;
            let findings = session.watcher.findings_since(before);
            blamed = before + findings.len();
            let mut end = AttemptEnd {
                output: outcome.notes,
                ..outcome.verdict.into()
            };
            if !outcome.trusted {
                end.output.push_str(&session.watcher.console_end());
            }
            self.complete(&mut end, &session, &test.name, &findings);
            self.conclude(member, end);
            if !outcome.trusted {
                // Why it is not trusted is in the test's verdict.
                session.stop().await;
                let late = session.watcher.findings_since(blamed);
                return self.blame_nobody(&late, late.len());
            }
        }
        session.stop().await;
        let mut late = session.watcher.findings_since(blamed);
        late.extend(session.watcher.fatal_so_far());
        self.blame_nobody(&late, late.len());
    }

    /// The first `count` findings came while no test ran.
    fn blame_nobody(&mut self, findings: &[Finding], count: usize) {
        let reasons = findings.iter().take(count).map(finding_reason);
        self.faults.extend(reasons);
    }

    /// The shared machine could not be used at all.
    fn never_ready(&mut self, outcome: &Outcome, session: Option<&Session<'_>>) {
        if self.run.control.is_draining() && matches!(outcome.verdict, Verdict::Lost { .. }) {
            return self.lose_queue();
        }
        if matches!(outcome.verdict, Verdict::Infra { .. })
            && self.failed_boots < self.run.options.infra_retries
            && !self.run.control.is_draining()
        {
            self.failed_boots += 1;
            self.run.events.warn(format!(
                "{}: {}; trying again on a fresh machine ({} of {})",
                self.group.name,
                outcome.verdict.reason(),
                self.failed_boots,
                self.run.options.infra_retries
            ));
            return;
        }
        for mut member in std::mem::take(&mut self.queue) {
            // The retries were made for all of them together.
            member.spoiled = self.run.options.infra_retries;
            let name = &self.run.test(&member).name;
            self.run.ledger.start(name, &self.group.name);
            let mut end = AttemptEnd::from(outcome.verdict.clone());
            if let Some(session) = session {
                end.output = session.watcher.console_end();
                let findings = session.watcher.findings_since(0);
                self.complete(&mut end, session, name, &findings);
            }
            self.conclude(member, end);
        }
    }

    fn lose_queue(&mut self) {
        self.run.lose(&std::mem::take(&mut self.queue));
    }

    /// Runs a test on a machine that is ready, and checks the machine's health afterwards.
    async fn test_on(
        &self,
        session: &mut Session<'_>,
        member: &Member,
        limit: Option<Limit>,
    ) -> Outcome {
        let case = &self.run.cases[member.index];
        let test = &case.test;
        let limit = limit.unwrap_or_else(|| {
            self.run
                .limit(Instant::now(), test.time_limit(), TEST_LIMIT)
        });
        let mut outcome = match (&member.unit, &case.native) {
            (Some(unit), _) => run_external(session, test, unit, &limit).await,
            (None, Some(native)) => run_native(session, native, &limit).await,
            (None, None) => Outcome::broken(infra(
                InfraCause::Harness,
                "a compiled-in test without code; this is a bug in kolea",
            )),
        };
        if !outcome.trusted {
            return outcome;
        }
        session.enter(Phase::Collecting, Some(&test.name));
        let limit = self
            .run
            .limit(Instant::now(), CHECK_LIMIT, "the limit for the end checks");
        let news = match session.check(&limit, case.native.is_none()).await {
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

    /// Adds to an attempt what the machine knows about it.
    fn complete(
        &self,
        end: &mut AttemptEnd,
        session: &Session<'_>,
        test: &str,
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
        end.output = output;
        end.artifacts = session.artifacts(test, &self.names);
        let verdict = std::mem::replace(&mut end.verdict, Verdict::Pass);
        end.verdict = with_findings(verdict, findings);
    }

    /// Ends an attempt, and decides what comes next.
    fn conclude(&mut self, mut member: Member, mut end: AttemptEnd) {
        let test = self.run.test(&member);
        end.verdict = soften(end.verdict, test.grace_until);
        let draining = self.run.control.is_draining();
        let verdict = end.verdict.clone();
        match next(&verdict, &member, &self.run.options, draining) {
            Next::Again(why) => {
                self.run.ledger.end(&test.name, end, Some(why));
                member.spoiled += 1;
                self.queue.push_front(member);
            }
            Next::Rerun(why) => {
                self.run.ledger.end(&test.name, end, Some(why));
                member.first = Some(verdict);
                member.spoiled = 0;
                self.rerun.push(member);
            }
            Next::Final(last) => {
                self.run.ledger.end(&test.name, end, None);
                self.run.ledger.finish(&test.name, last);
            }
        }
    }
}

const TEST_LIMIT: &str = "the test's time limit";
