//! What runs right now, as lines: a function of the events and the time.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use kolea_model::{Event, EventKind, Phase};

use super::summary::count;
use crate::text;

/// Lines for what runs; more than this would push everything else off the screen.
const MOST_ROWS: usize = 20;

/// Longest name that is shown, in characters.
const LONGEST_NAME: usize = 48;

#[derive(Debug, Default)]
pub(super) struct Board {
    started: Option<DateTime<Utc>>,
    planned: usize,
    done: usize,
    bad: usize,
    interrupted: bool,
    /// By template that is not made yet: how many groups wait for it.
    waiting: BTreeMap<String, usize>,
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    group: String,
    shared: bool,
    test: Option<String>,
    phase: Phase,
    /// When the group, or the test if there is one, began.
    began: DateTime<Utc>,
    /// When the phase did.
    phase_began: DateTime<Utc>,
}

impl Board {
    pub(super) fn event(&mut self, event: &Event) {
        let time = event.time;
        self.started.get_or_insert(time);
        match &event.kind {
            EventKind::RunStarted { plan, .. } => {
                self.planned = plan.groups.iter().map(|group| group.tests.len()).sum();
                let templates = plan.templates.iter();
                self.waiting = templates
                    .map(|template| (template.name.clone(), template.groups.len()))
                    .collect();
            }
            EventKind::GroupStarted { group, shared } => {
                self.rows.retain(|row| row.group != *group);
                self.rows.push(Row {
                    group: group.clone(),
                    shared: *shared,
                    test: None,
                    phase: Phase::Preparing,
                    began: time,
                    phase_began: time,
                });
            }
            EventKind::PhaseChanged { group, phase, .. } => {
                if let Some(row) = self.row(group) {
                    row.phase = *phase;
                    row.phase_began = time;
                }
            }
            EventKind::TestStarted { test, group, .. } => {
                if let Some(row) = self.row(group) {
                    row.test = Some(test.clone());
                    row.began = if row.shared { time } else { row.began };
                }
            }
            EventKind::AttemptFinished { group, .. } => {
                if let Some(row) = self.row(group) {
                    row.test = None;
                }
            }
            EventKind::TestFinished { verdict, .. } => {
                self.done += 1;
                self.bad += usize::from(verdict.is_bad());
            }
            EventKind::GroupFinished { group, verdict, .. } => {
                self.bad += usize::from(verdict.is_bad());
                self.rows.retain(|row| row.group != *group);
            }
            EventKind::TemplateReady { template, .. }
            | EventKind::TemplateFailed { template, .. } => {
                self.waiting.remove(template);
            }
            EventKind::Interrupted { .. } => self.interrupted = true,
            _ => {}
        }
    }

    /// One line for each group that runs, and one for the run.
    pub(super) fn lines(&self, now: DateTime<Utc>) -> Vec<String> {
        let names: Vec<String> = self.rows.iter().take(MOST_ROWS).map(Row::name).collect();
        let width = names.iter().map(|name| name.chars().count()).max();
        let width = width.unwrap_or(0);
        let mut lines: Vec<String> = self
            .rows
            .iter()
            .zip(&names)
            .map(|(row, name)| {
                format!(
                    "  {name:<width$}  {:<14} {:>11}  {:>11} in all",
                    row.phase,
                    elapsed(row.phase_began, now),
                    elapsed(row.began, now)
                )
            })
            .collect();
        if self.rows.len() > MOST_ROWS {
            lines.push(format!("  … and {} more", self.rows.len() - MOST_ROWS));
        }
        lines.push(format!(
            "{}/{} done, {} running{}{}{}, {}",
            self.done,
            count(self.planned, "test"),
            self.rows.len(),
            match self.waiting.values().sum::<usize>() {
                0 => String::new(),
                waiting => format!(
                    ", {} waiting for {}",
                    waiting,
                    count(self.waiting.len(), "template")
                ),
            },
            match self.bad {
                0 => String::new(),
                bad => format!(", {bad} bad"),
            },
            if self.interrupted { ", stopping" } else { "" },
            elapsed(self.started.unwrap_or(now), now)
        ));
        lines
    }

    fn row(&mut self, group: &str) -> Option<&mut Row> {
        self.rows.iter_mut().find(|row| row.group == group)
    }
}

impl Row {
    /// The test, below its bucket if it is in one, cut at the front: the end tells names apart.
    fn name(&self) -> String {
        let name = match &self.test {
            Some(test) if self.shared => text::one_line(&format!("{}/{test}", self.group)),
            _ => text::one_line(&self.group),
        };
        let length = name.chars().count();
        if length <= LONGEST_NAME {
            return name;
        }
        let end = name.chars().skip(length - LONGEST_NAME + 1);
        std::iter::once('…').chain(end).collect()
    }
}

fn elapsed(from: DateTime<Utc>, to: DateTime<Utc>) -> String {
    let seconds = to.signed_duration_since(from).num_seconds().max(0);
    // Whole seconds: the display changes once a second.
    if seconds < 60 {
        format!("{seconds} s")
    } else {
        // A day-long run fits a float's 53 bits easily.
        text::duration(seconds as f64)
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;
    use kolea_model::{Plan, PlannedGroup, PlannedTemplate, RunInfo, Verdict};

    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn board(events: Vec<(i64, EventKind)>) -> Board {
        let mut board = Board::default();
        for (seconds, kind) in events {
            board.event(&Event {
                time: at(seconds),
                kind,
            });
        }
        board
    }

    fn group(name: &str, shared: bool) -> EventKind {
        EventKind::GroupStarted {
            group: name.into(),
            shared,
        }
    }

    fn phase(group: &str, phase: Phase) -> EventKind {
        EventKind::PhaseChanged {
            group: group.into(),
            test: None,
            phase,
        }
    }

    #[test]
    fn each_group_has_a_line_with_its_phase_and_its_times() {
        let events = vec![
            (0, group("ext.core.a", false)),
            (1, group("non-exclusive-test-bucket-0", true)),
            (2, phase("ext.core.a", Phase::Booting)),
            (
                70,
                EventKind::TestStarted {
                    test: "ext.core.b".into(),
                    group: "non-exclusive-test-bucket-0".into(),
                    attempt: 1,
                },
            ),
            (70, phase("non-exclusive-test-bucket-0", Phase::Running)),
        ];
        insta::assert_snapshot!("board", board(events).lines(at(75)).join("\n"));
    }

    #[test]
    fn what_waits_for_a_template_is_counted_until_it_is_there() {
        let planned = |name: &str| PlannedGroup {
            name: name.into(),
            tests: vec![name.into()],
            shared: false,
        };
        let plan = Plan {
            groups: vec![planned("a"), planned("b")],
            templates: vec![PlannedTemplate {
                name: "template/default".into(),
                groups: vec!["a".into(), "b".into()],
            }],
            lower_bound_seconds: None,
        };
        let run = RunInfo::default();
        let mut events = vec![
            (0, EventKind::RunStarted { run, plan }),
            (0, group("template/default", false)),
            (1, phase("template/default", Phase::Booting)),
        ];
        assert_eq!(
            board(events.clone()).lines(at(3)),
            [
                "  template/default  booting                2 s          3 s in all",
                "0/2 tests done, 1 running, 2 waiting for 1 template, 3 s"
            ]
        );
        let failed = EventKind::TemplateFailed {
            template: "template/default".into(),
            reason: "no".into(),
        };
        events.push((4, failed));
        let lines = board(events).lines(at(4));
        assert_eq!(lines[1], "0/2 tests done, 1 running, 4 s");
    }

    #[test]
    fn what_is_over_leaves_the_board() {
        let events = vec![
            (0, group("a", false)),
            (
                5,
                EventKind::TestFinished {
                    test: "a".into(),
                    group: "a".into(),
                    verdict: Verdict::Fail { reason: "x".into() },
                    seconds: 5.0,
                },
            ),
            (
                6,
                EventKind::GroupFinished {
                    group: "a".into(),
                    seconds: 6.0,
                    verdict: Verdict::Pass,
                },
            ),
        ];
        assert_eq!(
            board(events).lines(at(9)),
            ["1/0 tests done, 0 running, 1 bad, 9 s"]
        );
    }

    #[test]
    fn a_crowd_and_long_or_hostile_names_stay_in_bounds() {
        let crowd = (0..50).map(|index| {
            (
                0,
                group(&format!("{index}\u{1b}[2J\n{}", "x".repeat(90)), false),
            )
        });
        let lines = board(crowd.collect()).lines(at(1));
        assert_eq!(lines.len(), MOST_ROWS + 2);
        assert!(
            lines
                .iter()
                .all(|line| !line.contains('\u{1b}') && line.chars().count() < 110)
        );
    }
}
