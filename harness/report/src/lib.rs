//! From events to reports: terminal, JUnit, TAP, kola's report.json.
//!
//! The input is [`kolea_model::Event`] and nothing else, so a report can be made while a run goes on, after it, and of
//! what a killed run left behind, and no report can change a verdict.
//!
//! - Streaming reports implement [`Reporter`]: [`JsonlWriter`] (`events.jsonl`) and [`Terminal`].
//! - The others are functions of a [`Record`], the folded run: [`junit`], [`tap`], [`report_json`]; [`write_all`]
//!   writes them where kola's users look for them.
//! - [`trace`] shows what every machine was busy with, for a trace viewer.
//!
//! Memory: a [`Record`] keeps at most 64 KiB of what a failed attempt printed and 8 KiB of a good one, less once 8 MiB
//! are kept ([`Limits`]); the reports say where the whole is.

mod error;
mod jsonl;
mod junit;
mod record;
mod report_json;
mod tap;
mod terminal;
mod text;
mod trace;
mod words;
mod write;

use std::io;

use kolea_model::Event;

pub use error::ReportError;
pub use jsonl::{JsonlWriter, ReadEvents, read_events, read_record};
pub use junit::junit;
pub use record::{AttemptRecord, Fold, GroupRecord, Limits, MachineRecord, Record, TestRecord};
pub use record::{TemplateRecord, TemplateState, VerifiedRecord};
pub use report_json::report_json;
pub use tap::tap;
pub use terminal::{Lent, Terminal, TerminalHandle, TerminalOptions};
pub use trace::{trace, write_trace};
pub use write::{WrittenReports, write_all};

/// A report that is made while the run goes on.
pub trait Reporter {
    /// Report what happened. An error is the report's own (a full disk, a closed pipe) and says nothing of the run.
    fn event(&mut self, event: &Event) -> io::Result<()>;
}
