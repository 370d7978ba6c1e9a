//! A run on the fake platform, and what came of it.

use std::path::PathBuf;
use std::sync::Arc;

use kolea_engine::{Case, Control, EventSender, RunOptions, run};
use kolea_fake::FakePlatform;
use kolea_machine::NativeTest;
use kolea_machine::profile::Profile;
use kolea_model::{
    Event, EventKind, ExitCode, ExternalTest, Origin, SkipReason, TestCase, TestSource, UserConfig,
    Verdict,
};
use tempfile::TempDir;
use tokio::sync::mpsc::UnboundedReceiver;

use crate::check::check;

/// A run to be.
pub struct Rig {
    pub platform: FakePlatform,
    pub cases: Vec<Case>,
    pub options: RunOptions,
    pub control: Control,
    pub dir: TempDir,
}

/// What came of it.
#[derive(Debug)]
pub struct Report {
    pub exit: ExitCode,
    pub events: Vec<Event>,
    pub dir: TempDir,
}

impl Rig {
    pub fn new(platform: FakePlatform) -> Self {
        let dir = TempDir::new().unwrap();
        std::fs::write(dir.path().join("test.sh"), "#!/bin/sh\n").unwrap();
        Rig {
            platform,
            cases: Vec::new(),
            options: RunOptions {
                jobs: 4,
                memory_budget_mib: Some(1 << 20),
                output_dir: dir.path().to_path_buf(),
                profile: Profile::builtin("fcos").unwrap(),
                console_rules: true,
                ..RunOptions::default()
            },
            control: Control::new(),
            dir,
        }
    }

    /// A test as it is when nobody says otherwise: external and exclusive.
    pub fn test_case(&self, name: &str) -> TestCase {
        TestCase::new(
            name,
            TestSource::External(ExternalTest {
                executable: self.dir.path().join("test.sh"),
                data: None,
            }),
        )
    }

    pub fn exclusive(self, name: &str) -> Self {
        self.with(name, |_| ())
    }

    pub fn shared(self, name: &str) -> Self {
        self.with(name, |test| test.exclusive = false)
    }

    pub fn with(mut self, name: &str, change: impl FnOnce(&mut TestCase)) -> Self {
        let mut test = self.test_case(name);
        change(&mut test);
        self.cases.push(Case { test, native: None });
        self
    }

    pub fn native(mut self, native: NativeTest) -> Self {
        self.cases.push(Case {
            test: native.test_case(),
            native: Some(native),
        });
        self
    }

    pub fn options(mut self, change: impl FnOnce(&mut RunOptions)) -> Self {
        change(&mut self.options);
        self
    }

    /// With templates, for this run only.
    pub fn templates(self) -> Self {
        self.options(|options| options.templates = true)
    }

    /// With this Ignition config, for the test added last.
    pub fn config(mut self, text: &str) -> Self {
        self.cases.last_mut().unwrap().test.config = Some(UserConfig {
            path: PathBuf::from("config.ign"),
            text: text.into(),
        });
        self
    }

    pub async fn run(self) -> Report {
        self.run_with(Vec::new(), |_, _| ()).await
    }

    /// Runs, and lets `watch` see every event as it comes.
    pub async fn run_with(
        self,
        skipped: Vec<(String, SkipReason)>,
        mut watch: impl FnMut(&Control, &EventKind),
    ) -> Report {
        let (sender, mut received) = EventSender::channel();
        let platform = self.platform.clone();
        let running = run(
            Arc::new(self.platform),
            self.cases,
            skipped,
            self.options,
            sender,
            self.control.clone(),
        );
        let mut events = Vec::new();
        let collect = async {
            while let Some(event) = received.recv().await {
                watch(&self.control, &event.kind);
                events.push(event);
            }
        };
        let (exit, ()) = tokio::join!(running, collect);
        drain(&mut received, &mut events);
        check(&events, exit);
        assert_eq!(platform.stats().alive, 0, "every machine was stopped");
        Report {
            exit,
            events,
            dir: self.dir,
        }
    }
}

fn drain(received: &mut UnboundedReceiver<Event>, events: &mut Vec<Event>) {
    while let Ok(event) = received.try_recv() {
        events.push(event);
    }
}

impl Report {
    pub fn kinds(&self) -> impl Iterator<Item = &EventKind> {
        self.events.iter().map(|event| &event.kind)
    }

    /// The last word on a test.
    pub fn verdict(&self, name: &str) -> &Verdict {
        self.kinds()
            .find_map(|kind| match kind {
                EventKind::TestFinished { test, verdict, .. } if test == name => Some(verdict),
                _ => None,
            })
            .unwrap()
    }

    /// What the reports print about a test.
    pub fn line(&self, name: &str) -> String {
        self.verdict(name).to_string()
    }

    /// Verdict, output and retry of each attempt at a test.
    pub fn attempts(&self, name: &str) -> Vec<(&Verdict, &str, Option<&str>)> {
        self.kinds()
            .filter_map(|kind| match kind {
                EventKind::AttemptFinished {
                    test,
                    verdict,
                    output,
                    retry,
                    ..
                } if test == name => Some((verdict, output.as_str(), retry.as_deref())),
                _ => None,
            })
            .collect()
    }

    /// Seconds of the first attempt at a test.
    pub fn seconds(&self, name: &str) -> f64 {
        self.kinds()
            .find_map(|kind| match kind {
                EventKind::AttemptFinished { test, seconds, .. } if test == name => Some(*seconds),
                _ => None,
            })
            .unwrap()
    }

    /// The artefacts of the last attempt at a test, as paths on the host.
    pub fn artifacts(&self, name: &str) -> Vec<(String, PathBuf)> {
        let last = self.kinds().filter_map(|kind| match kind {
            EventKind::AttemptFinished {
                test, artifacts, ..
            } if test == name => Some(artifacts),
            _ => None,
        });
        last.last()
            .unwrap()
            .iter()
            .map(|(file, path)| (file.clone(), self.dir.path().join(path)))
            .collect()
    }

    pub fn group_verdict(&self, name: &str) -> &Verdict {
        self.kinds()
            .find_map(|kind| match kind {
                EventKind::GroupFinished { group, verdict, .. } if group == name => Some(verdict),
                _ => None,
            })
            .unwrap()
    }

    /// Where the machines of a group got their state from, one after the other: `boot`, `boot: WHY` or the template's name.
    pub fn origins(&self, group: &str) -> Vec<String> {
        self.kinds()
            .filter_map(|kind| match kind {
                EventKind::MachineStarted { owner, origin, .. } if owner == group => {
                    Some(match origin {
                        Origin::Boot { why: None } => "boot".to_owned(),
                        Origin::Boot { why: Some(why) } => format!("boot: {why}"),
                        Origin::Clone { template, .. } => template.clone(),
                    })
                }
                _ => None,
            })
            .collect()
    }

    /// The templates of the plan, and the groups that wait for them.
    pub fn templates(&self) -> Vec<(&str, Vec<&str>)> {
        let plan = self.kinds().find_map(|kind| match kind {
            EventKind::RunStarted { plan, .. } => Some(plan),
            _ => None,
        });
        let templates = plan.unwrap().templates.iter();
        templates
            .map(|template| {
                let groups = template.groups.iter().map(String::as_str);
                (template.name.as_str(), groups.collect())
            })
            .collect()
    }

    /// How long the run took, and what it would have taken at least, in seconds.
    pub fn run_seconds(&self) -> (f64, f64) {
        let end = self.kinds().find_map(|kind| match kind {
            EventKind::RunFinished {
                seconds,
                lower_bound_seconds,
                ..
            } => Some((*seconds, lower_bound_seconds.unwrap_or_default())),
            _ => None,
        });
        end.unwrap()
    }

    pub fn machines(&self) -> usize {
        self.kinds()
            .filter(|kind| matches!(kind, EventKind::MachineStarted { .. }))
            .count()
    }

    pub fn warnings(&self) -> Vec<&str> {
        self.kinds()
            .filter_map(|kind| match kind {
                EventKind::Warning { message } => Some(message.as_str()),
                _ => None,
            })
            .collect()
    }
}
