//! What the process says when it ends.

use serde::{Deserialize, Serialize};

/// Exit codes of `kolea run`. 0, 1 and 77 are kola's; the others tell apart what kola calls 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[repr(u8)]
pub enum ExitCode {
    /// Every test passed, was flaky, was skipped, failed though that is only a warning, or was denied and ran nevertheless,
    /// whatever came of it.
    Pass = 0,
    /// At least one test failed or timed out, or a command failed.
    Fail = 1,
    /// The command line, a test tree or the image is wrong; nothing was booted. (clap's own code for usage errors.)
    Usage = 2,
    /// No test failed, but the infrastructure kept at least one from a verdict.
    Infra = 3,
    /// No test matched what was asked for.
    NoTests = 4,
    /// Only tests that may fail failed, and `--on-warn-failure-exit-77` was given.
    WarnOnly = 77,
    /// Stopped by a signal (128 + SIGINT); what ran before is in the reports.
    Interrupted = 130,
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(code: ExitCode) -> Self {
        std::process::ExitCode::from(code as u8)
    }
}
