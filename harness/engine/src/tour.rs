//! Runs a group: machine after machine, until each of its tests has a verdict.

use std::collections::VecDeque;
use std::time::Duration;

use kolea_model::{EventKind, Finding, OnFailure, Verdict};
use tokio::time::Instant;

use crate::cluster::Cluster;
use crate::group::{Group, Member};
use crate::launch::{Launch, Start, launch, set_up, setup_limit};
use crate::ledger::AttemptEnd;
use crate::outcome::{Outcome, fail, finding_reason};
use crate::policy::{Next, next, soften};
use crate::ride::{Ride, complete, judged, ride_alone, test_on};
use crate::run::Run;
use crate::seat::{Busy, Seat};
use crate::session::Session;
use crate::shell::show;

/// What came of a group.
#[derive(Debug)]
pub(crate) struct Toured {
    /// The tests that are to run once more at the end.
    pub rerun: Vec<Member>,
    /// How long the group took, in seconds, without what it waited for the host.
    pub seconds: f64,
}

/// Runs the group.
pub(crate) async fn run_group(run: &Run, group: &Group, seat: &Seat) -> Toured {
    let started = Instant::now();
    run.events.send(EventKind::GroupStarted {
        group: group.name.clone(),
        shared: group.shared,
    });
    let mut tour = Tour {
        run,
        group,
        seat,
        names: group
            .members
            .iter()
            .map(|member| run.test(member).name.clone())
            .collect(),
        queue: group.members.iter().cloned().collect(),
        start: group.start.clone(),
        pays_for_clone: matches!(group.start, Start::Clone(_)),
        failed_boots: 0,
        faults: Vec::new(),
        rerun: Vec::new(),
        waited: Duration::ZERO,
    };
    while tour.goes_on() {
        let Some(busy) = tour.admitted().await else {
            tour.lose_queue();
            break;
        };
        // Another machine may have told the distribution meanwhile.
        if !tour.goes_on() {
            break;
        }
        if group.shared {
            tour.shared_machine(busy).await;
        } else {
            tour.own_machine(busy).await;
        }
    }
    let verdict = match tour.faults.as_slice() {
        [] => Verdict::Pass,
        [only] => fail(only),
        [first, rest @ ..] => fail(format!("{first} (and {} more)", rest.len())),
    };
    let seconds = started.elapsed();
    run.ledger
        .finish_group(&group.name, seconds.as_secs_f64(), verdict);
    Toured {
        rerun: tour.rerun,
        seconds: seconds.saturating_sub(tour.waited).as_secs_f64(),
    }
}

/// A clone did not come up: no later run is to have the same trouble with that template.
fn suspect(start: &Start) {
    if let Start::Clone(frozen) = start {
        frozen.template.withdraw();
    }
}

/// A group on its way.
struct Tour<'a> {
    run: &'a Run,
    group: &'a Group,
    seat: &'a Seat,
    /// All tests' names.
    names: Vec<String>,
    /// Tests without a verdict.
    queue: VecDeque<Member>,
    /// Where the next machine's state comes from.
    start: Start,
    /// Whether the group was admitted with a clone's memory, and has no more yet.
    pays_for_clone: bool,
    /// Boots in a row that the infrastructure has spoiled.
    failed_boots: u32,
    /// What no single test is to blame for.
    faults: Vec<String>,
    rerun: Vec<Member>,
    /// How long it waited for memory and processors.
    waited: Duration,
}

impl Tour<'_> {
    /// Leaves out the tests that, by what is known by now, do not apply to the distribution. Whether any is left.
    fn goes_on(&mut self) -> bool {
        let run = self.run;
        self.queue.retain(|member| {
            // An attempt that was made is followed by the one that was announced.
            let untried = member.spoiled == 0 && member.first.is_none();
            match run.distro.excludes(run.test(member)) {
                Some(reason) if untried => {
                    let verdict = Verdict::Skip { reason };
                    run.ledger.finish(&run.test(member).name, verdict);
                    false
                }
                _ => true,
            }
        });
        !self.queue.is_empty()
    }

    /// Waits until the host has what the next machine needs. `None` if the run was interrupted before.
    async fn admitted(&mut self) -> Option<Busy> {
        let began = Instant::now();
        if self.pays_for_clone && matches!(self.start, Start::Boot { .. }) {
            let memory = self.run.boot_cost(self.group);
            if !self.seat.exchange(memory, &self.run.control).await {
                return None;
            }
            self.pays_for_clone = false;
        }
        let busy = self.run.processors(&self.group.spec, self.group.machines);
        let busy = busy.await;
        self.waited += began.elapsed();
        busy
    }

    /// A clone let the group down: from now on its machines boot, if the host has the memory for that. Whether they will.
    fn boot_from_now_on(&mut self, verdict: &Verdict) -> bool {
        if matches!(self.start, Start::Boot { .. }) || !self.run.fits(self.group) {
            return false;
        }
        self.start = Start::Boot {
            why: Some(format!("its clone failed: {}", verdict.reason())),
        };
        true
    }

    /// One attempt at a test that has its machine to itself.
    async fn own_machine(&mut self, busy: Busy) {
        let Some(member) = self.queue.pop_front() else {
            return;
        };
        let test = self.run.test(&member);
        self.run.ledger.start(&test.name, &self.group.name);
        let start = self.start.clone();
        let Ride {
            end,
            looked,
            clone_failed,
        } = ride_alone(self.run, self.group, &member, &self.start, busy, false).await;
        self.waited += looked;
        if matches!(end.verdict, Verdict::Infra { .. })
            && clone_failed
            && !self.run.control.is_draining()
            && self.boot_from_now_on(&end.verdict)
        {
            // The test had no part in it, and none of its retries is spent on it.
            suspect(&start);
            let why = "its clone failed: booting instead".to_owned();
            self.run.ledger.end(&test.name, end, Some(why));
            self.queue.push_front(member);
            return;
        }
        self.conclude(member, end);
    }

    /// One machine for all tests that have no verdict yet, until none is left or the machine is no good any more.
    async fn shared_machine(&mut self, busy: Busy) {
        if self.run.control.is_draining() {
            return self.lose_queue();
        }
        let members: Vec<Member> = self.queue.iter().cloned().collect();
        let start = self.start.clone();
        let setup = setup_limit(self.run, &start);
        let order = Launch::for_members(self.run, self.group, &members, &start);
        let mut session = match launch(self.run, order, busy, &setup).await {
            Ok(session) => session,
            Err(outcome) => return self.never_ready(&outcome, None),
        };
        if let Err(outcome) = set_up(&mut session, self.group, &members, &setup).await {
            let name = &self.group.name;
            let looked = show(&session, name, &outcome.verdict, &OnFailure::Fail).await;
            self.waited += looked.unwrap_or_default();
            session.stop().await;
            return self.never_ready(&outcome, Some(&session));
        }
        self.failed_boots = 0;
        let mut blamed = 0;
        let mut machine = Cluster::from(session);
        while !self.run.control.is_draining() {
            let Some(member) = self.queue.pop_front() else {
                break;
            };
            let test = self.run.test(&member);
            let started = Instant::now();
            self.run.ledger.start(&test.name, &self.group.name);
            let session = &machine.lead;
            let before = session.watcher.findings();
            self.blame_nobody(&session.watcher.findings_since(blamed), before - blamed);
            let outcome = test_on(self.run, &mut machine, &member, None).await;
            let session = &machine.lead;
            let findings = session.watcher.findings_since(before);
            blamed = before + findings.len();
            let verdict = judged(outcome.verdict.clone(), session, &findings);
            let looked = show(session, &test.name, &verdict, &test.on_failure).await;
            let spent = started.elapsed().saturating_sub(looked.unwrap_or_default());
            self.waited += looked.unwrap_or_default();
            let mut end = AttemptEnd {
                output: outcome.notes,
                seconds: Some(spent.as_secs_f64()),
                ..outcome.verdict.into()
            };
            if !outcome.trusted {
                end.output.push_str(&session.watcher.console_end());
            }
            complete(&mut end, session, &test.name, &self.names, &findings);
            self.conclude(member, end);
            if looked.is_some() {
                // What somebody did to the machine is held against nobody.
                return machine.stop().await;
            }
            if !outcome.trusted {
                // Why it is not trusted is in the test's verdict.
                machine.stop().await;
                let late = machine.lead.watcher.findings_since(blamed);
                return self.blame_nobody(&late, late.len());
            }
        }
        machine.stop().await;
        let session = &machine.lead;
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
        if matches!(outcome.verdict, Verdict::Infra { .. }) && !self.run.control.is_draining() {
            let why = outcome.verdict.reason();
            let start = self.start.clone();
            if self.boot_from_now_on(&outcome.verdict) {
                suspect(&start);
                self.run.events.warn(format!(
                    "{}: {why}; its machine was to be a clone: booting instead",
                    self.group.name
                ));
                return;
            }
            if self.failed_boots < self.run.options.infra_retries {
                self.failed_boots += 1;
                self.run.events.warn(format!(
                    "{}: {why}; trying again on a fresh machine ({} of {})",
                    self.group.name, self.failed_boots, self.run.options.infra_retries
                ));
                return;
            }
        }
        for mut member in std::mem::take(&mut self.queue) {
            // The retries were made for all of them together.
            member.spoiled = self.run.options.infra_retries;
            let name = &self.run.test(&member).name;
            self.run.ledger.start(name, &self.group.name);
            let mut end = AttemptEnd {
                own_seconds: Some(0.0),
                ..outcome.verdict.clone().into()
            };
            if let Some(session) = session {
                end.output = session.watcher.console_end();
                let findings = session.watcher.findings_since(0);
                complete(&mut end, session, name, &self.names, &findings);
            }
            self.conclude(member, end);
        }
    }

    fn lose_queue(&mut self) {
        self.run.lose(&std::mem::take(&mut self.queue));
    }

    /// Ends an attempt, and decides what comes next.
    fn conclude(&mut self, mut member: Member, mut end: AttemptEnd) {
        let test = self.run.test(&member);
        // What was found while the template booted says nothing about clones.
        if let Start::Clone(frozen) = &self.start
            && frozen.findings.is_empty()
        {
            self.run.notes.ended_in_clone(member.index, &end.verdict);
        }
        end.verdict = soften(end.verdict, &test.on_failure);
        let draining = self.run.control.is_draining();
        let verdict = end.verdict.clone();
        match next(&verdict, &member, &self.run.options, draining) {
            Next::Again(why) => {
                self.boot_from_now_on(&verdict);
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
