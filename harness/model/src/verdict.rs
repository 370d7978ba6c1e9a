//! What came of a test, and why.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::Phase;

/// What came of one attempt at a test, or of the test as a whole.
///
/// Every reason is one line, ready to be shown; the whole story is in the attempt's output and artefacts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "kebab-case")]
pub enum Verdict {
    /// It passed.
    Pass,
    /// It ran and failed, or its machine showed a fault of the image (a kernel panic, a failed unit).
    Fail {
        /// What failed.
        reason: String,
    },
    /// It failed, was run again, and passed. Only ever the verdict of a whole test.
    Flaky {
        /// Why it failed the first time.
        reason: String,
    },
    /// It failed, and may: it is younger than 30 days (`creationDate`).
    Warn {
        /// What failed, and why that is only a warning.
        reason: String,
    },
    /// It failed, as was expected of it: it is denied, and ran by `--run-denied`.
    #[serde(rename = "xfail")]
    XFail {
        /// What failed.
        reason: String,
        /// Why it is denied.
        why: String,
    },
    /// It passed, though it is denied, and ran by `--run-denied`: the denylist may be out of date.
    #[serde(rename = "xpass")]
    XPass {
        /// Why it is denied.
        why: String,
    },
    /// It did not run.
    Skip {
        /// Why not.
        reason: SkipReason,
    },
    /// It did not end in time.
    Timeout {
        /// Where it was when time ran out.
        phase: Phase,
        /// The limit and the last sign of progress.
        reason: String,
    },
    /// The infrastructure failed, which says nothing about the image.
    Infra {
        /// The kind of failure.
        cause: InfraCause,
        /// What was seen.
        reason: String,
    },
    /// It was started or planned and never came to an end: the run was interrupted or killed.
    Lost {
        /// How far it was.
        reason: String,
    },
}

/// What part of the infrastructure failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum InfraCause {
    /// The machine's process could not be started.
    Launch,
    /// The machine's process ended by itself or by a signal from outside.
    MachineDied,
    /// The kernel killed the machine's process for lack of memory, or the host has too little for it.
    OutOfMemory,
    /// The machine never accepted a command.
    Boot,
    /// A command could not be run on a machine that is alive.
    Ssh,
    /// The host's disk is full.
    DiskFull,
    /// Something inside kolea or on its host failed.
    Harness,
}

impl fmt::Display for InfraCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            InfraCause::Launch => "launch",
            InfraCause::MachineDied => "machine died",
            InfraCause::OutOfMemory => "out of memory",
            InfraCause::Boot => "boot",
            InfraCause::Ssh => "ssh",
            InfraCause::DiskFull => "disk full",
            InfraCause::Harness => "harness",
        })
    }
}

/// Why a test did not run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum SkipReason {
    /// Its metadata excludes the platform, the architecture or the distribution of this run.
    NotApplicable {
        /// The key and the values, as in `architectures: !x86_64`.
        rule: String,
    },
    /// An option of this run leaves it out (`--no-net`, `--tag`, a missing required tag).
    Deselected {
        /// The option.
        rule: String,
    },
    /// A denylist, or `--denylist-test`, leaves it out.
    Denied {
        /// The entry: its pattern, and what there is of tracker and end.
        rule: String,
    },
    /// It asks for something that this version, or the platform, cannot give.
    Unsupported {
        /// What, by the names of the metadata.
        need: String,
    },
    /// The test said so itself, by exit status 77 (the convention of Automake and autopkgtest).
    ByTest {
        /// The last line the test printed.
        message: String,
    },
}

impl fmt::Display for SkipReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SkipReason::NotApplicable { rule } => write!(f, "not applicable: {rule}"),
            SkipReason::Deselected { rule } => write!(f, "deselected: {rule}"),
            SkipReason::Denied { rule } => write!(f, "denied: {rule}"),
            SkipReason::Unsupported { need } => write!(f, "not supported yet: {need}"),
            SkipReason::ByTest { message } => write!(f, "skipped by the test: {message}"),
        }
    }
}

impl Verdict {
    /// The word that the reports print.
    pub fn word(&self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::Fail { .. } => "fail",
            Verdict::Flaky { .. } => "flaky",
            Verdict::Warn { .. } => "warn",
            Verdict::XFail { .. } => "xfail",
            Verdict::XPass { .. } => "xpass",
            Verdict::Skip { .. } => "skip",
            Verdict::Timeout { .. } => "timeout",
            Verdict::Infra { .. } => "infra",
            Verdict::Lost { .. } => "lost",
        }
    }

    /// Whether the run as a whole has failed because of it.
    pub fn is_bad(&self) -> bool {
        matches!(
            self,
            Verdict::Fail { .. }
                | Verdict::Timeout { .. }
                | Verdict::Infra { .. }
                | Verdict::Lost { .. }
        )
    }

    /// The reason in one line, with the phase or the cause where there is one; empty for a pass.
    pub fn reason(&self) -> String {
        match self {
            Verdict::Pass => String::new(),
            Verdict::Fail { reason }
            | Verdict::Flaky { reason }
            | Verdict::Warn { reason }
            | Verdict::Lost { reason } => reason.clone(),
            Verdict::XFail { reason, why } => format!("{reason} (expected: {why})"),
            Verdict::XPass { why } => format!("it passed, though denied: {why}"),
            Verdict::Skip { reason } => reason.to_string(),
            Verdict::Timeout { phase, reason } => format!("timeout while {phase}: {reason}"),
            Verdict::Infra { cause, reason } => format!("infrastructure ({cause}): {reason}"),
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.word())?;
        let reason = self.reason();
        if reason.is_empty() {
            Ok(())
        } else {
            write!(f, ": {reason}")
        }
    }
}
