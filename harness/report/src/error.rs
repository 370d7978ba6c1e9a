//! What can go wrong with reports.

use std::io;
use std::path::PathBuf;

/// Why a report could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReportError {
    /// The recorded events could not be read.
    #[error(
        "cannot read the recorded events from {path}: {source}; is this the output directory of a run?"
    )]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// A report could not be written.
    #[error(
        "cannot write the report {path}: {source}; what was recorded is kept in events.jsonl, so free some space or fix the permissions and run `kolea report` on its directory"
    )]
    Write {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The XML writer refused.
    #[error("cannot make the JUnit report: {0}; the events in events.jsonl are not affected")]
    Junit(#[from] quick_junit::SerializeError),
    /// The JSON writer refused.
    #[error("cannot make report.json: {0}; the events in events.jsonl are not affected")]
    Json(#[from] serde_json::Error),
}
