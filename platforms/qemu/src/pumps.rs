//! What comes out of a machine, into files and to whoever listens. A pump never stops draining: a full disk or a listener
//! that went away must not block the guest.

use std::fs::File;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use kolea_machine::journal::{ExportParser, JournalText, RawEntry};
use kolea_machine::{JournalEntry, Line};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::mpsc;

use crate::console::Lines;
use crate::signs::Signs;

/// How much is read at once; a pipe holds as much.
const CHUNK: usize = 64 << 10;
/// How much of QEMU's standard error is kept in memory, in bytes.
const TAIL: usize = 4 << 10;

/// A file that grows. Made when the first byte comes; the first failure is noted and ends the writing, not the machine.
#[derive(Debug)]
pub struct Artifact {
    path: PathBuf,
    file: Option<File>,
    failed: bool,
}

impl Artifact {
    /// An artefact at that path.
    pub fn new(path: PathBuf) -> Artifact {
        Artifact {
            path,
            file: None,
            failed: false,
        }
    }

    /// Appends, if that is still possible.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.failed || bytes.is_empty() {
            return;
        }
        if let Err(error) = self.try_write(bytes) {
            self.failed = true;
            tracing::warn!(
                "cannot write {}: {error}; what follows is missing from it",
                self.path.display()
            );
        }
    }

    fn try_write(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file = match &mut self.file {
            Some(file) => file,
            none => none.insert(File::create(&self.path)?),
        };
        file.write_all(bytes)
    }
}

/// Where lines go to.
#[derive(Clone, Debug)]
pub struct Listeners {
    /// The machine's reader, if there is one.
    pub lines: mpsc::Sender<Line>,
    /// Whoever waits for the guest to be reachable.
    pub signs: Arc<Signs>,
}

impl Listeners {
    async fn console(&self, line: String) {
        self.signs.note(&line, None);
        // A reader that went away is none of our business.
        let _ = self.lines.send(Line::Console(line)).await;
    }

    async fn journal(&self, entry: JournalEntry) {
        self.signs.note(&entry.message, Some(&entry.boot_id));
        let _ = self.lines.send(Line::Journal(Arc::new(entry))).await;
    }
}

/// A pipe that is read to its end.
struct Source<R> {
    pipe: R,
    buffer: Vec<u8>,
}

impl<R: AsyncRead + Unpin> Source<R> {
    fn new(pipe: R) -> Source<R> {
        Source {
            pipe,
            buffer: vec![0; CHUNK],
        }
    }

    /// The next bytes; `None` at the end.
    async fn next(&mut self) -> Option<&[u8]> {
        match self.pipe.read(&mut self.buffer).await {
            Ok(0) => None,
            Ok(read) => self.buffer.get(..read),
            Err(error) => {
                tracing::warn!("cannot read what a machine says: {error}");
                None
            }
        }
    }
}

/// The serial console: to `console.txt` as it is, and to the listeners line by line.
pub async fn console(pipe: Receiver, mut file: Artifact, listeners: Listeners) {
    let mut lines = Lines::default();
    let mut complete = Vec::new();
    let mut source = Source::new(pipe);
    while let Some(bytes) = source.next().await {
        file.write(bytes);
        lines.feed(bytes, &mut complete);
        for line in std::mem::take(&mut complete) {
            listeners.console(line).await;
        }
    }
    if let Some(line) = lines.finish() {
        listeners.console(line).await;
    }
}

/// The journal in export format: to `journal.txt` for people, to `journal.json` as `journalctl -o json` writes it, and
/// to the listeners.
pub async fn journal(pipe: Receiver, mut text: Artifact, mut json: Artifact, listeners: Listeners) {
    let mut parser = ExportParser::default();
    let mut writer = JournalText::default();
    let mut source = Source::new(pipe);
    while let Some(bytes) = source.next().await {
        for raw in parser.feed(bytes) {
            let entry = raw.to_entry();
            text.write(writer.lines(&entry).as_bytes());
            let mut line = raw.to_json();
            line.push('\n');
            json.write(line.as_bytes());
            listeners.journal(entry).await;
        }
    }
}

/// What the initramfs sends when Ignition has failed, one JSON entry a line: to `ignition-virtio-dump.txt`, and to the
/// listeners.
pub async fn ignition(pipe: Receiver, mut file: Artifact, listeners: Listeners) {
    let mut line = Vec::new();
    let mut source = Source::new(pipe);
    while let Some(bytes) = source.next().await {
        file.write(bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || line.len() > CHUNK * 16 {
                let entry = RawEntry::from_json_line(&String::from_utf8_lossy(&line));
                line.clear();
                // The dump ends with an empty object.
                if let Some(entry) = entry.filter(|entry| !entry.is_empty()) {
                    listeners.journal(entry.to_entry()).await;
                }
            }
        }
    }
}

/// The end of QEMU's standard error.
#[derive(Clone, Debug, Default)]
pub struct Tail(Arc<Mutex<Vec<u8>>>);

impl Tail {
    /// The last line that says something, if QEMU said anything.
    pub fn last_words(&self) -> Option<String> {
        let bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        (!bytes.trim_ascii().is_empty()).then(|| crate::tools::last_words(&bytes))
    }

    fn push(&self, new: &[u8]) {
        let mut bytes = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        bytes.extend_from_slice(new);
        let surplus = bytes.len().saturating_sub(TAIL);
        bytes.drain(..surplus);
    }
}

/// QEMU's own words: to `qemu-stderr.txt`, their end to memory.
pub async fn stderr(pipe: impl AsyncRead + Unpin, mut file: Artifact, tail: Tail) {
    let mut source = Source::new(pipe);
    while let Some(bytes) = source.next().await {
        file.write(bytes);
        tail.push(bytes);
    }
}

#[cfg(test)]
#[path = "pumps_tests.rs"]
mod tests;
