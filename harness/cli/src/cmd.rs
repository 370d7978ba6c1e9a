//! One file a subcommand.

pub mod lint;
pub mod list;
pub mod report;
pub mod run;

use kolea_model::ExitCode;
use kolea_suite::SelectError;

/// A subcommand that could not do what it was asked to.
#[derive(Debug)]
pub struct Failure {
    /// What the process exits with.
    pub code: ExitCode,
    /// Why, to be printed as one line.
    pub error: anyhow::Error,
}

impl From<anyhow::Error> for Failure {
    fn from(error: anyhow::Error) -> Self {
        Failure {
            code: ExitCode::Fail,
            error,
        }
    }
}

impl Failure {
    /// Nothing can be selected.
    pub fn selection(error: SelectError) -> Self {
        let code = match error {
            SelectError::BadPattern { .. } => ExitCode::Usage,
            SelectError::NoMatch { .. } | SelectError::NoTests | SelectError::Nothing { .. } => {
                ExitCode::NoTests
            }
        };
        Failure {
            code,
            error: error.into(),
        }
    }

    /// The input is wrong: nothing was booted.
    pub fn usage(error: impl Into<anyhow::Error>) -> Self {
        Failure {
            code: ExitCode::Usage,
            error: error.into(),
        }
    }
}

/// What a subcommand returns.
pub type Outcome = Result<ExitCode, Failure>;
