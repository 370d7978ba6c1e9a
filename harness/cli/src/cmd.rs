//! One file a subcommand.

pub mod check_console;
pub mod config;
pub mod http_server;
pub mod iso;
pub mod lint;
pub mod list;
pub mod qemuexec;
pub mod report;
pub mod rerun;
pub mod run;
pub mod testiso;

use kolea_model::ExitCode;
use kolea_suite::SelectError;

use crate::program::Program;
use crate::settings;

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
            SelectError::BadPattern { .. } | SelectError::CopyClash { .. } => ExitCode::Usage,
            SelectError::NoMatch { .. } | SelectError::NoTests | SelectError::Nothing { .. } => {
                ExitCode::NoTests
            }
        };
        Failure {
            code,
            error: error.into(),
        }
    }

    /// There is nothing to run.
    pub fn no_tests(error: anyhow::Error) -> Self {
        Failure {
            code: ExitCode::NoTests,
            error,
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

/// That a subcommand is still to come.
pub fn not_yet(subcommand: &str) -> Failure {
    settings::not_yet(&format!("`{} {subcommand}`", Program::current().name()))
}
