//! Where events go while a run lasts: to `events.jsonl`, to the terminal, and into the record that the reports are made of.

use std::fs::File;
use std::path::Path;

use kolea_model::Event;
use kolea_report::{Fold, JsonlWriter, Limits, Record, Reporter, Terminal};
use tokio::sync::mpsc::UnboundedReceiver;

use crate::program::warn;

/// The file that holds everything that happened.
pub const EVENTS_FILE: &str = "events.jsonl";

/// Takes events until the last sender is gone, and returns the record of them.
pub struct Sink {
    file: Option<JsonlWriter<File>>,
    terminal: Terminal,
    record: Fold,
}

impl Sink {
    /// Creates `events.jsonl` in `dir`.
    pub fn create(dir: &Path, terminal: Terminal) -> std::io::Result<Sink> {
        Ok(Sink {
            file: Some(JsonlWriter::create(&dir.join(EVENTS_FILE))?),
            terminal,
            record: Fold::new(Limits::default()),
        })
    }

    /// Runs until all senders are dropped.
    pub async fn run(mut self, mut events: UnboundedReceiver<Event>) -> Record {
        while let Some(event) = events.recv().await {
            self.take(&event);
        }
        // Only a run that broke off has something left to say.
        let _ = self.terminal.finish();
        self.record.finish()
    }

    fn take(&mut self, event: &Event) {
        // A full disk must not cost the verdicts: the run goes on, and the reports are tried at its end.
        if let Some(file) = &mut self.file
            && let Err(error) = file.event(event)
        {
            warn(format_args!(
                "cannot write {EVENTS_FILE}: {error}; events from here on are only in the reports"
            ));
            self.file = None;
        }
        // A closed terminal is no reason to stop either.
        let _ = self.terminal.event(event);
        self.record.push(event);
    }
}
