//! What happened in a run, as it happened. `events.jsonl` holds one [`Event`] a line, and every report is a function
//! of that file alone.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{ExitCode, Phase, Verdict};

/// Something that happened, and when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it happened, by the host's clock.
    pub time: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub kind: EventKind,
}

/// What does not change during a run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunInfo {
    /// kolea's version.
    pub version: String,
    /// The command line as it was typed.
    pub command: Vec<String>,
    /// The platform's name, such as `qemu`.
    pub platform: String,
    /// The architecture of the machines, by its RPM name.
    pub arch: String,
    /// The distribution, such as `fcos`.
    pub distro: String,
    /// How many machines may run at once.
    pub jobs: usize,
    /// What every time limit is multiplied with; 1 under KVM.
    pub timeout_factor: f64,
    /// Facts for the reports: image path and digest, accelerator and why it was chosen, QEMU version, …
    pub properties: BTreeMap<String, String>,
}

/// A machine's worth of tests.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedGroup {
    /// The test's own name, or the bucket's.
    pub name: String,
    /// The tests, in the order they run in.
    pub tests: Vec<String>,
    /// Whether the machine is shared (a bucket), however many tests are in it.
    pub shared: bool,
}

/// A template that groups of a run wait for.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlannedTemplate {
    /// Its name: that of the group that makes it.
    pub name: String,
    /// The groups whose machines are its clones.
    pub groups: Vec<String>,
}

/// What a run is going to do.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Plan {
    /// The groups, in the order they are started in.
    pub groups: Vec<PlannedGroup>,
    /// The templates, in the order they are made in, unless an earlier run left them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub templates: Vec<PlannedTemplate>,
    /// What the run takes at least by what earlier runs took, in seconds, whatever the scheduler does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lower_bound_seconds: Option<f64>,
}

/// Where a machine's state comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Origin {
    /// It boots.
    Boot {
        /// Why it is no clone, if it could have been expected to be one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        why: Option<String>,
    },
    /// It is restored from a template.
    Clone {
        /// The template's name.
        template: String,
        /// Where the artefacts of the template's boot are, relative to the output directory if they are in it.
        dir: PathBuf,
    },
}

impl Default for Origin {
    fn default() -> Self {
        Origin::Boot { why: None }
    }
}

/// Where a finding was seen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FindingSource {
    /// The serial console.
    Console,
    /// The systemd journal.
    Journal,
}

/// A rule that matched a line of the console or of the journal.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Finding {
    /// The rule's name, such as `kernel panic`.
    pub rule: String,
    /// Where.
    pub source: FindingSource,
    /// The line, control characters removed.
    pub line: String,
}

/// What can happen in a run.
///
/// `owner` is the group that a machine belongs to; `attempt` counts from 1. A test may have several attempts: retries
/// after infrastructure failures, and reruns after failures. Exactly one `test-finished` follows the last of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum EventKind {
    /// The first event.
    RunStarted {
        /// Facts about the run.
        run: RunInfo,
        /// What is going to run.
        plan: Plan,
    },
    /// A test will not run. Skips known before the run come right after `run-started`.
    TestSkipped {
        /// The test.
        test: String,
        /// Why; always a [`Verdict::Skip`].
        verdict: Verdict,
    },
    /// A machine has told which distribution the image is of; the run was not told.
    DistroDetected {
        /// Its name, as in [`RunInfo::distro`].
        distro: String,
        /// What it was told by, in one line.
        from: String,
    },
    /// A group got its slot.
    GroupStarted {
        /// The group.
        group: String,
        /// Whether its machine is shared by several tests.
        shared: bool,
    },
    /// A machine's process was started.
    MachineStarted {
        /// The machine's UUID.
        machine: String,
        /// Its group.
        owner: String,
        /// Where its artefacts are, relative to the output directory.
        dir: PathBuf,
        /// Where its state comes from.
        #[serde(default)]
        origin: Origin,
    },
    /// Something that a machine, or the harness on its behalf, was busy with has ended: for traces, nothing else.
    MachineStep {
        /// The machine's UUID.
        machine: String,
        /// Its group.
        owner: String,
        /// In one or two words: `overlay`, `start`, `load`, `wake`, `exec install`, …
        step: String,
        /// When it began.
        began: DateTime<Utc>,
        /// How long it took, in seconds.
        seconds: f64,
    },
    /// A template can be cloned from now on.
    TemplateReady {
        /// Its name.
        template: String,
        /// Whether an earlier run left it.
        cached: bool,
        /// How long saving it took, in seconds; 0 if it was cached.
        save_seconds: f64,
        /// What it occupies on the disk, in MiB.
        disk_mib: u64,
    },
    /// A template was not to be had: those that were to be its clones boot; if the guest is to blame, their tests have failed
    /// with it instead.
    TemplateFailed {
        /// Its name.
        template: String,
        /// Why, in one line.
        reason: String,
    },
    /// A test that ran in a clone ran once more on a machine that booted (`--verify-templates`).
    TemplateVerified {
        /// The test.
        test: String,
        /// What came of it in the clone.
        in_clone: Verdict,
        /// What came of it on the machine that booted.
        booted: Verdict,
        /// Whether both are of the same kind.
        same: bool,
    },
    /// A machine accepted its first command.
    MachineReady {
        /// The machine's UUID.
        machine: String,
        /// From its order, in seconds.
        boot_seconds: f64,
    },
    /// A rule matched.
    MachineFinding {
        /// The machine's UUID.
        machine: String,
        /// Its group.
        owner: String,
        /// What was found.
        finding: Finding,
    },
    /// A machine's process is gone.
    MachineStopped {
        /// The machine's UUID.
        machine: String,
        /// How it ended, such as `stopped by kolea` or `killed by signal 9`.
        exit: String,
    },
    /// A group's attempt moved on. `test` is empty while it concerns the whole group.
    PhaseChanged {
        /// The group.
        group: String,
        /// The test, if it is one test's phase.
        test: Option<String>,
        /// The new phase.
        phase: Phase,
    },
    /// An attempt at a test began.
    TestStarted {
        /// The test.
        test: String,
        /// Its group.
        group: String,
        /// Which attempt, from 1.
        attempt: u32,
    },
    /// An attempt at a test ended.
    AttemptFinished {
        /// The test.
        test: String,
        /// Its group.
        group: String,
        /// Which attempt, from 1.
        attempt: u32,
        /// What came of it.
        verdict: Verdict,
        /// How long it took, boot included for a machine of its own, in seconds.
        seconds: f64,
        /// How much of that was the test itself, from a machine that is ready to the verdict, in seconds.
        #[serde(default)]
        own_seconds: f64,
        /// What the test printed, cut in the middle if it is long; for failures, followed by the unit's status.
        output: String,
        /// Artefacts: file name to path relative to the output directory.
        artifacts: BTreeMap<String, PathBuf>,
        /// Why another attempt follows, if one does.
        retry: Option<String>,
    },
    /// No more attempts follow.
    TestFinished {
        /// The test.
        test: String,
        /// Its group.
        group: String,
        /// The last word.
        verdict: Verdict,
        /// All attempts together, in seconds.
        seconds: f64,
    },
    /// A group gave its slot back.
    GroupFinished {
        /// The group.
        group: String,
        /// From start to end, in seconds.
        seconds: f64,
        /// Faults of the shared machine that no single test could be blamed for; a pass otherwise.
        verdict: Verdict,
    },
    /// The user asked the run to stop.
    Interrupted {
        /// The signal's name.
        signal: String,
    },
    /// Something worth knowing that is not a verdict.
    Warning {
        /// One line.
        message: String,
    },
    /// The last event.
    RunFinished {
        /// The process's exit code.
        exit: ExitCode,
        /// The whole run, in seconds.
        seconds: f64,
        /// What the groups that ran would have taken at least, whatever the order, in seconds.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lower_bound_seconds: Option<f64>,
    },
}
