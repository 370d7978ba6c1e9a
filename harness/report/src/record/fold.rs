//! From events to a record, one at a time.

mod lost;
mod template;

use std::collections::{BTreeMap, HashMap};
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use kolea_model::{
    Event, EventKind, Origin, Phase, PlannedGroup, Verdict, is_auxiliary_group, is_bucket_name,
};

use super::{AttemptRecord, GroupRecord, Limits, MachineRecord, Record, TestRecord};
use super::{TemplateState, VerifiedRecord, log_of};
use crate::text;

/// Folds events to a [`Record`], tolerating any order and any gap.
#[derive(Clone, Debug, Default)]
pub struct Fold {
    record: Record,
    limits: Limits,
    /// Bytes of output kept so far.
    kept: usize,
    tests: HashMap<String, usize>,
    groups: HashMap<String, usize>,
    machines: HashMap<String, usize>,
    /// By test: how far it is.
    progress: Vec<Progress>,
    /// By group.
    stages: Vec<Stage>,
    last: Option<DateTime<Utc>>,
}

#[derive(Clone, Debug, Default)]
struct Progress {
    /// The verdict is final.
    done: bool,
    /// The attempt that has begun and not ended.
    open: Option<(u32, DateTime<Utc>)>,
    phase: Phase,
}

#[derive(Clone, Debug, Default)]
struct Stage {
    phase: Phase,
    running: bool,
    /// Its machines at present.
    machines: Vec<String>,
}

impl Fold {
    /// An empty fold that keeps as much output as `limits` allow.
    pub fn new(limits: Limits) -> Fold {
        Fold {
            limits,
            ..Fold::default()
        }
    }

    /// Take the next event.
    pub fn push(&mut self, event: &Event) {
        let time = event.time;
        self.record.started.get_or_insert(time);
        self.last = Some(time);
        match &event.kind {
            EventKind::RunStarted { run, plan } => {
                self.record.run = run.clone();
                for group in &plan.groups {
                    self.plan(group);
                }
                for template in &plan.templates {
                    self.template(&template.name);
                }
            }
            EventKind::TestSkipped { test, verdict } => {
                let index = self.test(test, None);
                self.record.tests[index].verdict = verdict.clone();
                self.progress[index].done = true;
            }
            EventKind::DistroDetected { distro, from } => {
                let run = &mut self.record.run;
                run.distro.clone_from(distro);
                run.properties
                    .insert("distro-source".to_owned(), from.clone());
            }
            EventKind::GroupStarted { group, shared } => {
                let index = self.group(group, *shared);
                self.record.groups[index].started.get_or_insert(time);
                self.stages[index].running = true;
            }
            EventKind::MachineStarted {
                machine,
                owner,
                dir,
                origin,
            } => {
                let index = self.machine(machine, owner);
                self.record.machines[index].dir.clone_from(dir);
                self.record.machines[index].origin = origin.clone();
                let group = self.group(owner, false);
                let shared = self.record.groups[group].shared;
                let machines = &mut self.stages[group].machines;
                // A bucket's machine takes the place of the one before; others may be there at the same time.
                if shared {
                    machines.clear();
                }
                machines.push(machine.clone());
            }
            EventKind::MachineReady {
                machine,
                boot_seconds,
            } => {
                let index = self.machine(machine, "");
                self.record.machines[index].boot_seconds = Some(*boot_seconds);
            }
            EventKind::MachineFinding {
                machine,
                owner,
                finding,
            } => {
                let index = self.machine(machine, owner);
                self.record.machines[index].findings.push(finding.clone());
            }
            EventKind::MachineStopped { machine, exit } => {
                let index = self.machine(machine, "");
                self.record.machines[index].exit = Some(exit.clone());
            }
            EventKind::PhaseChanged { group, test, phase } => {
                self.phase(group, test.as_deref(), *phase);
            }
            EventKind::TestStarted {
                test,
                group,
                attempt,
            } => {
                let index = self.test(test, Some(group));
                self.record.tests[index].started.get_or_insert(time);
                let group = self.group(group, false);
                self.progress[index].open = Some((*attempt, time));
                self.progress[index].phase = self.stages[group].phase;
            }
            EventKind::AttemptFinished {
                test,
                group,
                attempt,
                verdict,
                seconds,
                own_seconds,
                output,
                artifacts,
                retry,
            } => {
                let index = self.test(test, Some(group));
                let open = self.progress[index].open.take();
                let stage = self.group(group, false);
                let output = self.keep(output, verdict, artifacts, test);
                let machines = if self.record.groups[stage].shared {
                    self.stages[stage].machines.clone()
                } else {
                    std::mem::take(&mut self.stages[stage].machines)
                };
                self.record.tests[index].attempts.push(AttemptRecord {
                    number: *attempt,
                    group: group.clone(),
                    machines,
                    started: open.map(|(_, started)| started),
                    verdict: verdict.clone(),
                    seconds: *seconds,
                    own_seconds: *own_seconds,
                    output,
                    artifacts: artifacts.clone(),
                    retry: retry.clone(),
                });
            }
            EventKind::TestFinished {
                test,
                group,
                verdict,
                seconds,
            } => {
                let index = self.test(test, Some(group));
                self.record.tests[index].verdict = verdict.clone();
                self.record.tests[index].seconds = *seconds;
                self.progress[index].done = true;
                self.progress[index].open = None;
            }
            EventKind::GroupFinished {
                group,
                seconds,
                verdict,
            } => {
                let index = self.group(group, false);
                self.stages[index].running = false;
                self.record.groups[index].seconds = *seconds;
                self.record.groups[index].verdict = verdict.clone();
            }
            EventKind::Interrupted { signal } => self.record.interrupted = Some(signal.clone()),
            EventKind::Warning { message } => self.record.warnings.push(message.clone()),
            EventKind::RunFinished {
                exit,
                seconds,
                lower_bound_seconds,
            } => {
                self.record.exit = Some(*exit);
                self.record.seconds = *seconds;
                self.record.lower_bound_seconds = *lower_bound_seconds;
            }
            EventKind::TemplateReady {
                template,
                cached,
                save_seconds,
                disk_mib,
            } => {
                let seconds = self.making_seconds(template, time);
                self.template(template).state = if *cached {
                    TemplateState::Cached
                } else {
                    TemplateState::Made {
                        seconds,
                        save_seconds: *save_seconds,
                        disk_mib: *disk_mib,
                    }
                };
            }
            EventKind::TemplateFailed { template, reason } => {
                self.template(template).state = TemplateState::Failed(reason.clone());
            }
            EventKind::TemplateVerified {
                test,
                in_clone,
                booted,
                same,
            } => self.record.verified.push(VerifiedRecord {
                test: test.clone(),
                in_clone: in_clone.clone(),
                booted: booted.clone(),
                same: *same,
            }),
            EventKind::MachineStep { .. } => {}
        }
    }

    /// What is known so far; a test that is not finished has no verdict yet, which reads as a pass.
    pub(crate) fn so_far(&self) -> &Record {
        &self.record
    }

    /// A test's name in kola's reports: below its bucket if it is a member of one.
    pub(crate) fn kola_name(&self, test: &str) -> String {
        match self.tests.get(test) {
            Some(index) => {
                let test = &self.record.tests[*index];
                test.kola_name(self.record.bucket_of(test))
            }
            None => test.to_owned(),
        }
    }

    /// No more events follow: whatever is unfinished is lost.
    pub fn finish(mut self) -> Record {
        let last = self.last.unwrap_or_default();
        if self.record.exit.is_none() {
            self.record.seconds = lost::since(self.record.started.unwrap_or(last), last);
        }
        for index in 0..self.record.tests.len() {
            if !self.progress[index].done {
                self.lose(index, last);
            }
        }
        for index in 0..self.record.groups.len() {
            self.lose_group(index, last);
        }
        self.record
    }

    fn plan(&mut self, group: &PlannedGroup) {
        self.group(&group.name, group.shared);
        for test in &group.tests {
            self.test(test, Some(&group.name));
        }
    }

    fn phase(&mut self, group: &str, test: Option<&str>, phase: Phase) {
        let stage = self.group(group, false);
        self.stages[stage].phase = phase;
        if let Some(test) = test {
            let index = self.test(test, Some(group));
            self.progress[index].phase = phase;
            return;
        }
        for (test, progress) in self.record.tests.iter().zip(&mut self.progress) {
            if progress.open.is_some() && test.group.as_deref() == Some(group) {
                progress.phase = phase;
            }
        }
    }

    /// What is kept of an attempt's output.
    fn keep(
        &mut self,
        output: &str,
        verdict: &Verdict,
        artifacts: &BTreeMap<String, PathBuf>,
        test: &str,
    ) -> String {
        let limit = self.limits.of(verdict, self.kept);
        if limit == 0 {
            return String::new();
        }
        let whole = log_of(artifacts, test).map(|path| text::one_line(&path.to_string_lossy()));
        // Cut before cleaning: output may be large, and cleaning only makes it smaller.
        let mut output = text::clean(&text::cut_middle(output, limit, whole.as_deref()));
        output.shrink_to_fit();
        self.kept += output.len();
        output
    }

    fn test(&mut self, name: &str, group: Option<&str>) -> usize {
        let index = match self.tests.get(name) {
            Some(index) => *index,
            None => {
                self.record.tests.push(TestRecord {
                    name: name.to_owned(),
                    group: None,
                    verdict: Verdict::Pass,
                    seconds: 0.0,
                    started: None,
                    attempts: Vec::new(),
                });
                self.progress.push(Progress::default());
                self.tests.insert(name.to_owned(), self.progress.len() - 1);
                self.progress.len() - 1
            }
        };
        let own = &mut self.record.tests[index].group;
        if own.is_none() {
            *own = group.map(str::to_owned);
        }
        index
    }

    fn group(&mut self, name: &str, shared: bool) -> usize {
        // Nothing is a member of those, whatever the events say.
        let shared = shared && !is_auxiliary_group(name);
        if let Some(index) = self.groups.get(name) {
            self.record.groups[*index].shared |= shared;
            return *index;
        }
        self.record.groups.push(GroupRecord {
            name: name.to_owned(),
            shared: shared || is_bucket_name(name),
            started: None,
            seconds: 0.0,
            verdict: Verdict::Pass,
        });
        self.stages.push(Stage::default());
        self.groups.insert(name.to_owned(), self.stages.len() - 1);
        self.stages.len() - 1
    }

    fn machine(&mut self, id: &str, owner: &str) -> usize {
        if let Some(index) = self.machines.get(id) {
            return *index;
        }
        self.record.machines.push(MachineRecord {
            id: id.to_owned(),
            owner: owner.to_owned(),
            dir: PathBuf::new(),
            origin: Origin::default(),
            boot_seconds: None,
            findings: Vec::new(),
            exit: None,
        });
        let index = self.record.machines.len() - 1;
        self.machines.insert(id.to_owned(), index);
        index
    }
}
