//! What every machine was busy with, in the Trace Event Format that <https://ui.perfetto.dev> and `chrome://tracing` show
//! (<https://docs.google.com/document/d/1CvAClvFfyA5R-PhYUmn5OOQtYMH4h6I0nSsKchNAySU>).
//!
//! One row for the run, and one for each machine, from its group's turn to its end: tests in it, phases in those, and steps
//! in those.

mod row;
mod rows;

use std::path::Path;

use kolea_model::{Event, EventKind};
use serde_json::{Value, json};

use crate::{ReportError, jsonl, write};
use row::Slice;
use rows::Rows;

/// The only process there is.
const PID: u32 = 1;

/// The trace of a run, as JSON: an object with the array `traceEvents`.
pub fn trace(events: &[Event]) -> String {
    let mut rows = Rows::new(events);
    for event in events {
        rows.push(event);
    }
    let mut out = vec![metadata("process_name", 0, &json!({ "name": "kolea" }))];
    out.push(json!({ "name": "process_labels", "ph": "M", "pid": PID, "tid": 0, "args": { "labels": command(events) } }));
    for (tid, row) in rows.finish().iter().enumerate() {
        out.push(metadata("thread_name", tid, &json!({ "name": row.name() })));
        out.push(metadata(
            "thread_sort_index",
            tid,
            &json!({ "sort_index": tid }),
        ));
        out.extend(row.slices().iter().map(|slice| complete(tid, slice)));
    }
    json!({ "traceEvents": out, "displayTimeUnit": "ms" }).to_string()
}

/// Writes the trace of the run that is recorded in `events`, a file of events, to `path`.
pub fn write_trace(events: &Path, path: &Path) -> Result<(), ReportError> {
    let mut read = Vec::new();
    // Lines that are no events are told of when the reports are made.
    let _problems = jsonl::each_event(events, |mut event| {
        if let EventKind::AttemptFinished { output, .. } = &mut event.kind {
            *output = String::new();
        }
        read.push(event);
    })?;
    write::replace(path, &trace(&read))
}

fn command(events: &[Event]) -> String {
    let run = events.iter().find_map(|event| match &event.kind {
        EventKind::RunStarted { run, .. } => Some(run.command.join(" ")),
        _ => None,
    });
    run.unwrap_or_default()
}

fn metadata(name: &str, tid: usize, args: &Value) -> Value {
    json!({ "name": name, "ph": "M", "pid": PID, "tid": tid, "args": args })
}

fn complete(tid: usize, slice: &Slice) -> Value {
    json!({
        "name": slice.name,
        "cat": slice.kind.category(),
        "ph": "X",
        "pid": PID,
        "tid": tid,
        "ts": slice.begin,
        "dur": slice.end - slice.begin,
        "args": slice.args,
    })
}

#[cfg(test)]
#[path = "trace/tests.rs"]
mod tests;
