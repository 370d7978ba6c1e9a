//! Canned runs: streams of events as the engine sends them.

// Each test file is a crate of its own and uses a part of this.
#![allow(dead_code)]

pub mod runs;

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use kolea_model::{
    Event, EventKind, ExitCode, Finding, FindingSource, Origin, Phase, Plan, PlannedGroup,
    PlannedTemplate, RunInfo, SkipReason, Verdict,
};

/// Builds a stream of events, one second apart unless told otherwise.
pub struct Stream {
    now: DateTime<Utc>,
    pub events: Vec<Event>,
}

impl Stream {
    /// A run of these groups: name, whether the machine is shared, tests.
    pub fn new(groups: &[(&str, bool, &[&str])]) -> Stream {
        let groups = groups
            .iter()
            .map(|(name, shared, tests)| PlannedGroup {
                name: (*name).to_owned(),
                tests: tests.iter().map(|test| (*test).to_owned()).collect(),
                shared: *shared,
            })
            .collect();
        let run = RunInfo {
            version: "0.1.0".into(),
            command: vec!["kolea".into(), "run".into(), "image.qcow2".into()],
            platform: "qemu".into(),
            arch: "x86_64".into(),
            distro: "fcos".into(),
            jobs: 2,
            timeout_factor: 4.5,
            properties: BTreeMap::from([
                ("accelerator".into(), "tcg (no /dev/kvm)".into()),
                ("image-sha256".into(), "0123abcd".into()),
            ]),
        };
        let mut stream = Stream {
            now: DateTime::from_timestamp(1_790_000_000, 0).unwrap(),
            events: Vec::new(),
        };
        stream.push(EventKind::RunStarted {
            run,
            plan: Plan {
                groups,
                ..Plan::default()
            },
        });
        stream
    }

    pub fn push(&mut self, kind: EventKind) -> &mut Self {
        self.events.push(Event {
            time: self.now,
            kind,
        });
        self.wait(1)
    }

    pub fn wait(&mut self, seconds: i64) -> &mut Self {
        self.now += TimeDelta::seconds(seconds);
        self
    }

    pub fn skip(&mut self, test: &str, reason: SkipReason) -> &mut Self {
        self.push(EventKind::TestSkipped {
            test: test.into(),
            verdict: Verdict::Skip { reason },
        })
    }

    /// The group gets its slot and a machine that comes up.
    pub fn boot(&mut self, group: &str, shared: bool, machine: &str) -> &mut Self {
        self.push(EventKind::GroupStarted {
            group: group.into(),
            shared,
        });
        self.machine(group, machine)
    }

    pub fn machine(&mut self, group: &str, machine: &str) -> &mut Self {
        self.machine_from(group, machine, Origin::default())
    }

    pub fn machine_from(&mut self, group: &str, machine: &str, origin: Origin) -> &mut Self {
        self.push(EventKind::MachineStarted {
            machine: machine.into(),
            owner: group.into(),
            dir: PathBuf::from(group).join(machine),
            origin,
        });
        self.phase(group, None, Phase::Booting).wait(18);
        self.push(EventKind::MachineReady {
            machine: machine.into(),
            boot_seconds: 19.0,
        })
    }

    /// The plan has this template for these groups.
    pub fn template(&mut self, name: &str, groups: &[&str]) -> &mut Self {
        let EventKind::RunStarted { plan, .. } = &mut self.events[0].kind else {
            panic!("the first event is another");
        };
        plan.templates.push(PlannedTemplate {
            name: name.to_owned(),
            groups: groups.iter().map(|group| (*group).to_owned()).collect(),
        });
        self
    }

    /// A test runs in a clone: all of its group.
    pub fn in_clone(&mut self, test: &str, machine: &str, verdict: &Verdict) -> &mut Self {
        let origin = Origin::Clone {
            template: "template/default".into(),
            dir: "template/default/t1".into(),
        };
        self.push(EventKind::GroupStarted {
            group: test.into(),
            shared: false,
        })
        .machine_from(test, machine, origin)
        .once(test, test, verdict, "")
        .stop(machine, "stopped by kolea")
        .group_end(test, Verdict::Pass)
    }

    pub fn stop(&mut self, machine: &str, exit: &str) -> &mut Self {
        self.push(EventKind::MachineStopped {
            machine: machine.into(),
            exit: exit.into(),
        })
    }

    pub fn phase(&mut self, group: &str, test: Option<&str>, phase: Phase) -> &mut Self {
        self.push(EventKind::PhaseChanged {
            group: group.into(),
            test: test.map(str::to_owned),
            phase,
        })
    }

    pub fn start(&mut self, test: &str, group: &str, attempt: u32) -> &mut Self {
        self.push(EventKind::TestStarted {
            test: test.into(),
            group: group.into(),
            attempt,
        })
    }

    /// An attempt ends; with `retry`, another follows.
    pub fn attempt(
        &mut self,
        test: &str,
        group: &str,
        attempt: u32,
        verdict: Verdict,
        output: &str,
        retry: Option<&str>,
    ) -> &mut Self {
        let log = format!("{test}.txt");
        let path = PathBuf::from(group).join("m1").join(&log);
        self.push(EventKind::AttemptFinished {
            test: test.into(),
            group: group.into(),
            attempt,
            verdict,
            seconds: 12.345,
            own_seconds: 5.0,
            output: output.into(),
            artifacts: BTreeMap::from([
                (log, path),
                (
                    "console.txt".into(),
                    PathBuf::from(group).join("m1/console.txt"),
                ),
            ]),
            retry: retry.map(str::to_owned),
        })
    }

    pub fn finish(&mut self, test: &str, group: &str, verdict: Verdict) -> &mut Self {
        self.push(EventKind::TestFinished {
            test: test.into(),
            group: group.into(),
            verdict,
            seconds: 12.345,
        })
    }

    /// Start, end and verdict of a test that needs one attempt.
    pub fn once(&mut self, test: &str, group: &str, verdict: &Verdict, output: &str) -> &mut Self {
        self.start(test, group, 1)
            .phase(group, Some(test), Phase::Running)
            .attempt(test, group, 1, verdict.clone(), output, None)
            .finish(test, group, verdict.clone())
    }

    pub fn group_end(&mut self, group: &str, verdict: Verdict) -> &mut Self {
        self.push(EventKind::GroupFinished {
            group: group.into(),
            seconds: 33.3,
            verdict,
        })
    }

    pub fn finding(&mut self, machine: &str, owner: &str, rule: &str, line: &str) -> &mut Self {
        self.push(EventKind::MachineFinding {
            machine: machine.into(),
            owner: owner.into(),
            finding: Finding {
                rule: rule.into(),
                source: FindingSource::Console,
                line: line.into(),
            },
        })
    }

    pub fn end(&mut self, exit: ExitCode) -> Vec<Event> {
        self.push(EventKind::RunFinished {
            exit,
            seconds: 123.4,
            lower_bound_seconds: None,
        });
        self.events.clone()
    }
}

pub fn fail(reason: &str) -> Verdict {
    Verdict::Fail {
        reason: reason.into(),
    }
}
