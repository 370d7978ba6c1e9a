//! `events.jsonl`: one event a line, written as it happens, and read back even when the writer was killed.

use std::fs::{File, OpenOptions};
use std::io::{self, BufRead, BufReader, Write};
use std::path::Path;

use kolea_model::Event;

use crate::{Record, ReportError, Reporter};

/// Problems that are told one by one; a file of garbage must not make a million messages.
const MOST_PROBLEMS: usize = 20;

/// Writes events as lines of JSON, each with one `write`, so that a kill loses at most the line being written.
#[derive(Debug)]
pub struct JsonlWriter<W = File> {
    out: W,
    /// Whether the last line may be torn, because writing it failed (a full disk).
    torn: bool,
}

impl JsonlWriter<File> {
    /// Create `path`, which must not exist: what an earlier run recorded is never overwritten.
    pub fn create(path: &Path) -> io::Result<JsonlWriter<File>> {
        let out = OpenOptions::new().write(true).create_new(true).open(path)?;
        Ok(JsonlWriter::new(out))
    }
}

impl<W: Write> JsonlWriter<W> {
    /// Write to `out`, without a buffer.
    pub fn new(out: W) -> JsonlWriter<W> {
        JsonlWriter { out, torn: false }
    }
}

impl<W: Write> Reporter for JsonlWriter<W> {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let mut line = Vec::with_capacity(256);
        if self.torn {
            line.push(b'\n');
        }
        serde_json::to_writer(&mut line, event)?;
        line.push(b'\n');
        self.torn = true;
        self.out.write_all(&line)?;
        self.out.flush()?;
        self.torn = false;
        Ok(())
    }
}

/// What a file of events holds.
#[derive(Debug)]
pub struct ReadEvents {
    /// The events, in the order they were written in.
    pub events: Vec<Event>,
    /// One line for each line of the file that is no event.
    pub problems: Vec<String>,
}

/// Read all events of a file. Prefer [`read_record`] for reports: it does not keep every test's whole output in memory.
pub fn read_events(path: &Path) -> Result<ReadEvents, ReportError> {
    let mut events = Vec::new();
    let problems = each_event(path, |event| events.push(event))?;
    Ok(ReadEvents { events, problems })
}

/// Fold a file of events, line by line.
///
/// Returns the record, and one line for each problem of the file (none for a whole one).
pub fn read_record(path: &Path) -> Result<(Record, Vec<String>), ReportError> {
    let mut fold = crate::Fold::default();
    let problems = each_event(path, |event| fold.push(&event))?;
    Ok((fold.finish(), problems))
}

/// Hands each event of a file on. Returns one line for each problem of the file.
pub(crate) fn each_event(
    path: &Path,
    mut sink: impl FnMut(Event),
) -> Result<Vec<String>, ReportError> {
    let read = |source| ReportError::Read {
        path: path.to_owned(),
        source,
    };
    let mut file = BufReader::with_capacity(64 * 1024, File::open(path).map_err(read)?);
    let mut problems = Vec::new();
    let mut unread = 0usize;
    let mut line = Vec::new();
    let mut number = 0usize;
    let mut events = 0usize;
    loop {
        line.clear();
        if file.read_until(b'\n', &mut line).map_err(read)? == 0 {
            break;
        }
        number += 1;
        let whole = line.ends_with(b"\n");
        let text = line.trim_ascii();
        if text.is_empty() {
            continue;
        }
        match serde_json::from_slice(text) {
            Ok(event) => {
                events += 1;
                sink(event);
            }
            Err(_) if problems.len() >= MOST_PROBLEMS => unread += 1,
            Err(_) if !whole => problems.push(format!(
                "{}:{number}: the last line is cut off (the run was killed while it was written)",
                path.display()
            )),
            Err(error) => problems.push(format!(
                "{}:{number}: not an event, left out: {error}",
                path.display()
            )),
        }
    }
    if unread > 0 {
        problems.push(format!(
            "{}: {unread} more lines are no events, left out",
            path.display()
        ));
    }
    if events == 0 {
        problems.push(format!("{}: no events are recorded", path.display()));
    }
    Ok(problems)
}

#[cfg(test)]
mod tests {
    use chrono::DateTime;
    use kolea_model::EventKind;
    use proptest::prelude::*;

    use super::*;

    fn warning(message: &str) -> Event {
        Event {
            time: DateTime::UNIX_EPOCH,
            kind: EventKind::Warning {
                message: message.to_owned(),
            },
        }
    }

    fn write(events: &[Event]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut writer = JsonlWriter::new(&mut out);
        for event in events {
            writer.event(event).unwrap();
        }
        out
    }

    #[test]
    fn a_torn_end_and_foreign_lines_lose_nothing_else() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        let mut bytes = write(&[warning("one")]);
        bytes.extend_from_slice(b"\0\xff\xfe rubbish\n{\"event\":\"from-the-future\"}\n\n");
        bytes.extend(write(&[warning("two")]));
        bytes.extend_from_slice(b"{\"time\":\"2026-01-01T00:0");
        std::fs::write(&path, bytes).unwrap();
        let read = read_events(&path).unwrap();
        assert_eq!(read.events, [warning("one"), warning("two")]);
        assert_eq!(read.problems.len(), 3, "{:?}", read.problems);
        assert!(read.problems[2].contains(":6: the last line is cut off"));
    }

    #[test]
    fn a_missing_file_is_an_error_and_an_empty_one_a_problem() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        assert!(matches!(read_events(&path), Err(ReportError::Read { .. })));
        std::fs::write(&path, "").unwrap();
        assert_eq!(read_events(&path).unwrap().problems.len(), 1);
        assert!(JsonlWriter::create(&path).is_err(), "must not overwrite");
    }

    /// A disk that is full for one write after it took some bytes.
    struct FullOnce {
        bytes: Vec<u8>,
        full: bool,
    }

    impl Write for FullOnce {
        fn write(&mut self, data: &[u8]) -> io::Result<usize> {
            if self.full && !self.bytes.ends_with(b"\n") {
                self.full = false;
                return Err(io::Error::from_raw_os_error(28));
            }
            let taken = if self.full { 10 } else { data.len() };
            self.bytes.extend_from_slice(&data[..taken]);
            Ok(taken)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn after_a_full_disk_the_next_event_has_a_line_of_its_own() {
        let mut writer = JsonlWriter::new(FullOnce {
            bytes: b"\n".to_vec(),
            full: true,
        });
        assert!(writer.event(&warning("lost")).is_err());
        writer.event(&warning("kept")).unwrap();
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("events.jsonl");
        std::fs::write(&path, writer.out.bytes).unwrap();
        let read = read_events(&path).unwrap();
        assert_eq!(read.events, [warning("kept")]);
        assert_eq!(read.problems.len(), 1);
    }

    proptest! {
        #[test]
        fn cut_anywhere_all_whole_lines_are_read(cut in 0usize..400, messages in prop::collection::vec(".{0,30}", 1..5)) {
            let events: Vec<Event> = messages.iter().map(|message| warning(message)).collect();
            let bytes = write(&events);
            let cut = cut.min(bytes.len());
            let whole = bytes[..cut].iter().filter(|byte| **byte == b'\n').count();
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("events.jsonl");
            std::fs::write(&path, &bytes[..cut]).unwrap();
            let read = read_events(&path).unwrap();
            // A cut right before a line feed leaves a whole event behind.
            prop_assert!(read.events.len() >= whole);
            prop_assert_eq!(&read.events[..], &events[..read.events.len()]);
        }
    }
}
