//! From events to rows.

use std::collections::{BTreeMap, HashMap};

use chrono::{DateTime, TimeDelta, Utc};
use kolea_model::{Event, EventKind, Phase};
use serde_json::json;

use super::row::{Kind, Row, Slice};
use crate::words;

/// Rows in the making.
#[derive(Debug)]
pub(super) struct Rows {
    /// When the run began.
    zero: DateTime<Utc>,
    /// The last event's time.
    now: i64,
    run: Row,
    machines: Vec<Row>,
    /// By machine's UUID: its row.
    index: HashMap<String, usize>,
    groups: BTreeMap<String, Group>,
    /// By test: its group, its attempt and when that began.
    tests: BTreeMap<String, (String, u32, i64)>,
}

/// How far a group is.
#[derive(Debug, Default)]
struct Group {
    /// Its machine, or its last one.
    row: Option<usize>,
    /// Whether that is gone.
    stopped: bool,
    /// When it got its slot, or when its last machine went.
    since: i64,
    /// The phase that it is in.
    phase: Option<(Phase, i64)>,
    /// What is over and belongs to the next machine.
    early: Vec<Slice>,
}

impl Rows {
    pub(super) fn new(events: &[Event]) -> Rows {
        Rows {
            zero: events.first().map(|event| event.time).unwrap_or_default(),
            now: 0,
            run: Row::new("run".to_owned(), 0),
            machines: Vec::new(),
            index: HashMap::new(),
            groups: BTreeMap::new(),
            tests: BTreeMap::new(),
        }
    }

    pub(super) fn push(&mut self, event: &Event) {
        // A clock that was set back would make slices end before they begin.
        self.now = self.now.max(self.micros(event.time));
        let now = self.now;
        match &event.kind {
            EventKind::GroupStarted { group, .. } => {
                let group = self.groups.entry(group.clone()).or_default();
                group.since = now;
                group.phase = Some((Phase::Preparing, now));
            }
            EventKind::MachineStarted {
                machine,
                owner,
                origin,
                dir,
            } => {
                let row = self.machine(machine, owner);
                self.machines[row].describe(json!({
                    "machine": machine,
                    "dir": dir,
                    "origin": words::origin(origin),
                }));
                let group = self.groups.entry(owner.clone()).or_default();
                for slice in group.early.drain(..) {
                    self.machines[row].add(slice);
                }
                group.row = Some(row);
                group.stopped = false;
            }
            EventKind::MachineStopped { machine, .. } => {
                let Some(row) = self.index.get(machine).copied() else {
                    return;
                };
                self.machines[row].until(now);
                let group = self
                    .groups
                    .values_mut()
                    .find(|group| group.row == Some(row));
                if let Some(group) = group {
                    // What the group does next, it does without this machine.
                    let phase = group.phase.take();
                    self.machines[row].add_phase(phase, now);
                    group.phase = phase.map(|(phase, _)| (phase, now));
                    group.stopped = true;
                    group.since = now;
                }
            }
            EventKind::MachineStep {
                machine,
                owner,
                step,
                began,
                seconds,
            } => {
                let begin = self.micros(*began);
                let row = self.machine(machine, owner);
                self.machines[row].add(Slice {
                    kind: Kind::Step,
                    name: step.clone(),
                    begin,
                    end: begin.saturating_add(micros(*seconds)),
                    args: json!({}),
                });
            }
            EventKind::PhaseChanged { group, phase, .. } => {
                let group = self.groups.entry(group.clone()).or_default();
                if group.phase.is_some_and(|(own, _)| own == *phase) {
                    return;
                }
                let over = group.phase.replace((*phase, now));
                match group.row {
                    Some(row) if !group.stopped => self.machines[row].add_phase(over, now),
                    _ => group.early.extend(phase_slice(over, now)),
                }
            }
            EventKind::TestStarted {
                test,
                group,
                attempt,
            } => {
                self.tests
                    .insert(test.clone(), (group.clone(), *attempt, now));
            }
            EventKind::AttemptFinished { test, verdict, .. } => {
                self.end_test(test, verdict.word());
            }
            EventKind::GroupFinished { group, .. } => self.end_group(group),
            _ => {}
        }
    }

    /// The run's row, and those of the machines in the order they were started in.
    pub(super) fn finish(mut self) -> Vec<Row> {
        let tests: Vec<String> = self.tests.keys().cloned().collect();
        for test in tests {
            self.end_test(&test, "lost");
        }
        let groups: Vec<String> = self.groups.keys().cloned().collect();
        for group in groups {
            self.end_group(&group);
        }
        self.run.until(self.now);
        let mut rows = vec![self.run];
        rows.extend(self.machines);
        rows
    }

    /// The row of a machine.
    fn machine(&mut self, id: &str, owner: &str) -> usize {
        if let Some(row) = self.index.get(id) {
            return *row;
        }
        let group = self.groups.get(owner);
        let begin = group.map_or(self.now, |group| group.since);
        let short: String = id.chars().take(8).collect();
        let mut row = Row::new(format!("{owner} {short}"), begin);
        row.until(self.now);
        self.machines.push(row);
        let index = self.machines.len() - 1;
        self.index.insert(id.to_owned(), index);
        index
    }

    /// An attempt at a test is over; it is in the row of its group's machine, if there ever was one.
    fn end_test(&mut self, test: &str, verdict: &str) {
        let Some((group, attempt, begin)) = self.tests.remove(test) else {
            return;
        };
        let Some(row) = self.groups.get(&group).and_then(|group| group.row) else {
            return;
        };
        self.machines[row].add(Slice {
            kind: Kind::Test,
            name: test.to_owned(),
            begin,
            end: self.now,
            args: json!({ "attempt": attempt, "verdict": verdict }),
        });
    }

    /// Whatever is left of a group belongs to its last machine.
    fn end_group(&mut self, name: &str) {
        let now = self.now;
        let Some(group) = self.groups.remove(name) else {
            return;
        };
        let Some(row) = group.row.and_then(|row| self.machines.get_mut(row)) else {
            return;
        };
        group.early.into_iter().for_each(|slice| row.add(slice));
        row.add_phase(group.phase, now);
    }

    /// Microseconds since the run began.
    fn micros(&self, time: DateTime<Utc>) -> i64 {
        let since: TimeDelta = time.signed_duration_since(self.zero);
        since.num_microseconds().unwrap_or(0)
    }
}

impl Row {
    fn add_phase(&mut self, phase: Option<(Phase, i64)>, end: i64) {
        if let Some(slice) = phase_slice(phase, end) {
            self.add(slice);
        }
    }
}

/// A phase that is over; none if it never lasted.
fn phase_slice(phase: Option<(Phase, i64)>, end: i64) -> Option<Slice> {
    let (phase, begin) = phase.filter(|(_, begin)| *begin < end)?;
    Some(Slice {
        kind: Kind::Phase,
        name: phase.to_string(),
        begin,
        end,
        args: json!({}),
    })
}

/// Seconds as microseconds; a run is shorter than 292,000 years, and what is no number is nothing.
fn micros(seconds: f64) -> i64 {
    (seconds.max(0.0) * 1e6) as i64
}
