//! A run, folded: what the reports are made from.

mod fold;
mod limits;
mod template;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use kolea_model::{
    Event, ExitCode, Finding, Origin, RunInfo, SkipReason, Verdict, is_auxiliary_group,
};

pub use fold::Fold;
pub use limits::Limits;
pub use template::{TemplateRecord, TemplateState, VerifiedRecord};

/// A whole run, or as much of it as was recorded.
#[derive(Clone, Debug, Default)]
pub struct Record {
    /// Facts about the run; defaults if the first event is missing.
    pub run: RunInfo,
    /// When the first event happened.
    pub started: Option<DateTime<Utc>>,
    /// From the first event to the last, in seconds, or what the run said itself.
    pub seconds: f64,
    /// The tests: those of the plan in its order, then the others in the order they were first heard of.
    pub tests: Vec<TestRecord>,
    /// The groups, likewise.
    pub groups: Vec<GroupRecord>,
    /// The machines, in the order they were started in.
    pub machines: Vec<MachineRecord>,
    /// The templates, in the order they were heard of.
    pub templates: Vec<TemplateRecord>,
    /// The tests that ran once more on machines that booted, in the order they did.
    pub verified: Vec<VerifiedRecord>,
    /// What the groups that ran would have taken at least, whatever the order, in seconds.
    pub lower_bound_seconds: Option<f64>,
    /// What was worth knowing.
    pub warnings: Vec<String>,
    /// The signal that asked the run to stop.
    pub interrupted: Option<String>,
    /// How the run ended; none if its end was not recorded.
    pub exit: Option<ExitCode>,
}

/// A test, with all its attempts.
#[derive(Clone, Debug)]
pub struct TestRecord {
    /// Its own name, without a bucket.
    pub name: String,
    /// The group it was planned in, or first ran in.
    pub group: Option<String>,
    /// What came of it; a test that was planned or started and never finished is [`Verdict::Lost`].
    pub verdict: Verdict,
    /// All attempts together, in seconds.
    pub seconds: f64,
    /// When its first attempt began.
    pub started: Option<DateTime<Utc>>,
    /// Its attempts, oldest first; the last one may be unfinished, with [`Verdict::Lost`].
    pub attempts: Vec<AttemptRecord>,
}

/// One attempt at a test.
#[derive(Clone, Debug)]
pub struct AttemptRecord {
    /// Which one, from 1.
    pub number: u32,
    /// The group it ran in.
    pub group: String,
    /// The machines it ran on, as far as they were started: mostly one.
    pub machines: Vec<String>,
    /// When it began, if that was recorded.
    pub started: Option<DateTime<Utc>>,
    /// What came of it.
    pub verdict: Verdict,
    /// How long it took, in seconds.
    pub seconds: f64,
    /// How much of that was the test itself, in seconds; 0 if that was not recorded.
    pub own_seconds: f64,
    /// What the test printed, cleaned of control characters and cut to [`Limits`].
    pub output: String,
    /// Artefacts: file name to path relative to the output directory.
    pub artifacts: BTreeMap<String, PathBuf>,
    /// Why another attempt followed, if one did.
    pub retry: Option<String>,
}

/// A group of tests, which has a machine at a time; or a group without tests, in which a template is made or verified.
#[derive(Clone, Debug)]
pub struct GroupRecord {
    /// The test's own name, or the bucket's.
    pub name: String,
    /// Whether its machine is shared.
    pub shared: bool,
    /// When it got its slot.
    pub started: Option<DateTime<Utc>>,
    /// From start to end, in seconds.
    pub seconds: f64,
    /// Faults of the shared machine that no test could be blamed for.
    pub verdict: Verdict,
}

/// A machine.
#[derive(Clone, Debug)]
pub struct MachineRecord {
    /// Its UUID.
    pub id: String,
    /// Its group.
    pub owner: String,
    /// Where its artefacts are, relative to the output directory.
    pub dir: PathBuf,
    /// Where its state came from.
    pub origin: Origin,
    /// From the start of its process to the first command, in seconds.
    pub boot_seconds: Option<f64>,
    /// What the rules found.
    pub findings: Vec<Finding>,
    /// How its process ended.
    pub exit: Option<String>,
}

impl Record {
    /// Fold events with the default [`Limits`].
    pub fn from_events(events: &[Event]) -> Record {
        let mut fold = Fold::default();
        for event in events {
            fold.push(event);
        }
        fold.finish()
    }

    /// The group of that name.
    pub fn group(&self, name: &str) -> Option<&GroupRecord> {
        self.groups.iter().find(|group| group.name == name)
    }

    /// The machine with that UUID.
    pub fn machine(&self, id: &str) -> Option<&MachineRecord> {
        self.machines.iter().find(|machine| machine.id == id)
    }

    /// The shared groups, which kola reports as the parents of their members.
    pub fn buckets(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups.iter().filter(|group| group.shared)
    }

    /// The bucket that a test is a member of.
    pub fn bucket_of(&self, test: &TestRecord) -> Option<&GroupRecord> {
        self.group(test.group.as_deref()?)
            .filter(|group| group.shared)
    }

    /// The tests of a bucket, in their order.
    pub fn members<'a>(&'a self, bucket: &'a GroupRecord) -> impl Iterator<Item = &'a TestRecord> {
        self.tests
            .iter()
            .filter(|test| test.group.as_deref() == Some(&bucket.name))
    }

    /// The groups whose faults are no test's: buckets, and groups without tests, whose own machine was at fault.
    pub fn faulty_groups(&self) -> impl Iterator<Item = &GroupRecord> {
        self.groups
            .iter()
            .filter(|group| (group.shared || group.is_auxiliary()) && group.has_own_verdict())
    }

    /// What has a verdict: every test, and every group whose own machine was at fault.
    pub fn verdicts(&self) -> impl Iterator<Item = (&str, &Verdict)> {
        let tests = self
            .tests
            .iter()
            .map(|test| (test.name.as_str(), &test.verdict));
        let groups = self
            .faulty_groups()
            .map(|group| (group.name.as_str(), &group.verdict));
        tests.chain(groups)
    }

    /// Whether everything is well: nothing bad happened, and the run came to its end.
    pub fn passed(&self) -> bool {
        matches!(self.exit, Some(ExitCode::Pass | ExitCode::WarnOnly))
            && !self.verdicts().any(|(_, verdict)| verdict.is_bad())
    }
}

impl TestRecord {
    /// Its name in kola's reports: below its bucket if it is a member of one.
    pub fn kola_name(&self, bucket: Option<&GroupRecord>) -> String {
        match bucket {
            Some(bucket) => format!("{}/{}", bucket.name, self.name),
            None => self.name.clone(),
        }
    }

    /// Whether it was left out before the run, so that nothing on disk speaks of it.
    pub fn was_left_out(&self) -> bool {
        matches!(
            &self.verdict,
            Verdict::Skip {
                reason: SkipReason::NotApplicable { .. }
                    | SkipReason::Deselected { .. }
                    | SkipReason::Denied { .. }
                    | SkipReason::Unsupported { .. }
            }
        )
    }

    /// What its last attempt printed.
    pub fn output(&self) -> &str {
        self.attempts
            .last()
            .map_or("", |attempt| attempt.output.as_str())
    }
}

impl GroupRecord {
    /// Whether the machine itself was at fault, so that the group counts like a test.
    pub fn has_own_verdict(&self) -> bool {
        self.verdict != Verdict::Pass
    }

    /// Whether no test has its verdict in it: a template is made there, or verified.
    pub fn is_auxiliary(&self) -> bool {
        is_auxiliary_group(&self.name)
    }
}

impl AttemptRecord {
    /// Where all that the test printed is, relative to the output directory.
    pub fn log(&self, test: &str) -> Option<&Path> {
        log_of(&self.artifacts, test)
    }
}

/// The test's log among an attempt's artefacts (`<test>.txt` in kola's layout).
pub(crate) fn log_of<'a>(artifacts: &'a BTreeMap<String, PathBuf>, test: &str) -> Option<&'a Path> {
    artifacts
        .iter()
        .find(|(name, _)| name.strip_suffix(".txt") == Some(test))
        .map(|(_, path)| path.as_path())
}
