//! What comes out of a machine, into files and to whoever listens. A pump never stops draining: a full disk or a listener
//! that went away must not block the guest.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use kolea_machine::journal::{ExportParser, JournalText, RawEntry};
use kolea_machine::{JournalEntry, Line};
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::net::unix::pipe::Receiver;
use tokio::sync::{mpsc, oneshot, watch};

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

    /// An artefact that goes on where another machine's ended: with a copy of that file, and a seam after it.
    pub fn after(path: PathBuf, before: &Path, seam: &str) -> Artifact {
        let mut artifact = Artifact::new(path);
        let begin = || -> io::Result<File> {
            match std::fs::copy(before, &artifact.path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => drop(result?),
            }
            File::options()
                .create(true)
                .append(true)
                .open(&artifact.path)
        };
        match begin() {
            Ok(file) => {
                artifact.file = Some(file);
                artifact.write(seam.as_bytes());
            }
            Err(error) => artifact.fail(&error),
        }
        artifact
    }

    /// Appends, if that is still possible.
    pub fn write(&mut self, bytes: &[u8]) {
        if self.failed || bytes.is_empty() {
            return;
        }
        if let Err(error) = self.try_write(bytes) {
            self.fail(&error);
        }
    }

    fn fail(&mut self, error: &io::Error) {
        self.failed = true;
        tracing::warn!(
            "cannot write {}: {error}; what follows is missing from it",
            self.path.display()
        );
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

/// Takes in what comes out of a pipe.
pub trait Sink: Send + 'static {
    /// Takes the next bytes.
    fn take(&mut self, bytes: &[u8]) -> impl Future<Output = ()> + Send;
    /// No more bytes will come.
    fn end(&mut self) -> impl Future<Output = ()> + Send {
        std::future::ready(())
    }
}

/// A request to read what is in the pipe now; it is answered with the number of bytes.
pub type Drain = oneshot::Sender<usize>;

/// Pumps a pipe to its end. Requests to drain it are answered meanwhile.
pub async fn pump(pipe: Receiver, mut sink: impl Sink, mut requests: mpsc::Receiver<Drain>) {
    let mut source = Source::new(pipe);
    loop {
        tokio::select! {
            biased;
            bytes = source.next() => match bytes {
                Some(bytes) => sink.take(bytes).await,
                None => break,
            },
            Some(request) = requests.recv() => {
                let mut drained = 0;
                while let Some(bytes) = source.left() {
                    drained += bytes.len();
                    sink.take(bytes).await;
                }
                let _ = request.send(drained); // whoever asked may have given up
            }
        }
    }
    sink.end().await;
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

impl Source<Receiver> {
    /// Bytes that are in the pipe already; `None` if there are none. Asks the kernel: the runtime may not have heard of
    /// them yet.
    fn left(&mut self) -> Option<&[u8]> {
        let mut pipe = File::from(self.pipe.as_fd().try_clone_to_owned().ok()?);
        match pipe.read(&mut self.buffer) {
            Ok(read) if read > 0 => self.buffer.get(..read),
            _ => None,
        }
    }
}

/// The serial console: to `console.txt` as it is, and to the listeners line by line.
#[derive(Debug)]
pub struct Console {
    file: Artifact,
    listeners: Listeners,
    lines: Lines,
}

impl Console {
    /// To that file.
    pub fn new(file: Artifact, listeners: Listeners) -> Console {
        Console {
            file,
            listeners,
            lines: Lines::default(),
        }
    }
}

impl Sink for Console {
    async fn take(&mut self, bytes: &[u8]) {
        self.file.write(bytes);
        let mut complete = Vec::new();
        self.lines.feed(bytes, &mut complete);
        for line in complete {
            self.listeners.console(line).await;
        }
    }

    async fn end(&mut self) {
        if let Some(line) = self.lines.finish() {
            self.listeners.console(line).await;
        }
    }
}

/// What is known of a journal when a stream of it begins; nothing, if it begins with the guest's first boot.
#[derive(Clone, Debug, Default)]
pub struct JournalState {
    /// Entries that have come already.
    pub parser: ExportParser,
    /// The boot that the text was in.
    pub text: JournalText,
}

/// The journal in export format: to `journal.txt` for people, to `journal.json` as `journalctl -o json` writes it, and
/// to the listeners.
#[derive(Debug)]
pub struct Journal {
    text: Artifact,
    json: Artifact,
    listeners: Listeners,
    state: JournalState,
    whole: watch::Sender<bool>,
}

impl Journal {
    /// To these files, going on from `state`.
    pub fn new(
        text: Artifact,
        json: Artifact,
        listeners: Listeners,
        state: JournalState,
    ) -> Journal {
        Journal {
            text,
            json,
            listeners,
            state,
            whole: watch::Sender::new(true),
        }
    }

    /// Tells whether all entries that have begun have ended.
    pub fn whole(&self) -> watch::Receiver<bool> {
        self.whole.subscribe()
    }
}

impl Sink for Journal {
    async fn take(&mut self, bytes: &[u8]) {
        for raw in self.state.parser.feed(bytes) {
            let entry = raw.to_entry();
            self.text.write(self.state.text.lines(&entry).as_bytes());
            let mut line = raw.to_json();
            line.push('\n');
            self.json.write(line.as_bytes());
            self.listeners.journal(entry).await;
        }
        self.whole
            .send_replace(self.state.parser.is_between_entries());
    }
}

/// What the initramfs sends when Ignition has failed, one JSON entry a line: to `ignition-virtio-dump.txt`, and to the
/// listeners.
#[derive(Debug)]
pub struct Ignition {
    file: Artifact,
    listeners: Listeners,
    line: Vec<u8>,
}

impl Ignition {
    /// To that file.
    pub fn new(file: Artifact, listeners: Listeners) -> Ignition {
        Ignition {
            file,
            listeners,
            line: Vec::new(),
        }
    }
}

impl Sink for Ignition {
    async fn take(&mut self, bytes: &[u8]) {
        self.file.write(bytes);
        for piece in bytes.split_inclusive(|byte| *byte == b'\n') {
            self.line.extend_from_slice(piece);
            if piece.ends_with(b"\n") || self.line.len() > CHUNK * 16 {
                let entry = RawEntry::from_json_line(&String::from_utf8_lossy(&self.line));
                self.line.clear();
                // The dump ends with an empty object.
                if let Some(entry) = entry.filter(|entry| !entry.is_empty()) {
                    self.listeners.journal(entry.to_entry()).await;
                }
            }
        }
    }
}

/// What is said on port `testisocompletion`: to a file, and whoever waits for it is woken.
#[derive(Debug)]
pub struct Completion {
    file: Artifact,
    listeners: Listeners,
}

impl Completion {
    /// To that file.
    pub fn new(file: Artifact, listeners: Listeners) -> Completion {
        Completion { file, listeners }
    }
}

impl Sink for Completion {
    async fn take(&mut self, bytes: &[u8]) {
        self.file.write(bytes);
        self.listeners
            .signs
            .note(&String::from_utf8_lossy(bytes), None);
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

/// A process's own words: to a file, if there is to be one, and their end to memory.
pub async fn stderr(pipe: impl AsyncRead + Unpin, mut file: Option<Artifact>, tail: Tail) {
    let mut source = Source::new(pipe);
    while let Some(bytes) = source.next().await {
        if let Some(file) = &mut file {
            file.write(bytes);
        }
        tail.push(bytes);
    }
}

#[cfg(test)]
#[path = "pumps_tests.rs"]
mod tests;
