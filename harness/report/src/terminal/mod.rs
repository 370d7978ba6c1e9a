//! What people and log scrapers see while a run goes on.
//!
//! The lines of `go test`, as kola prints them, go to standard output: `=== RUN   name`, `--- PASS: name (1.23s)`, and
//! at the end `PASS, output in DIR`. When standard error is a terminal, a live display of what runs stands below them.

mod board;
mod lend;
mod live;
mod plain;
mod style;
mod summary;
mod templates;

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::path::PathBuf;

use kolea_model::Event;

use crate::Reporter;
pub use lend::{Lent, TerminalHandle};
use live::Live;
use plain::Plain;

/// How to print.
#[derive(Clone, Debug, Default)]
pub struct TerminalOptions {
    /// The output directory, as it is to be printed.
    pub output_dir: PathBuf,
    /// Whether to colour the words.
    pub color: bool,
    /// Whether to show what runs, on standard error.
    pub live: bool,
    /// Whether to print a line for each test that starts; noise where the live display shows it.
    pub run_lines: bool,
}

impl TerminalOptions {
    /// What suits the process's standard output and error: colours only on a terminal and without `NO_COLOR`, the live
    /// display only on a terminal and without `CI` (as build servers set it).
    pub fn detect(output_dir: PathBuf) -> TerminalOptions {
        let color = anstream::AutoStream::choice(&io::stdout()) != anstream::ColorChoice::Never;
        let ci = std::env::var_os("CI").is_some_and(|value| !value.is_empty() && value != "false");
        let live = io::stderr().is_terminal() && !ci;
        TerminalOptions {
            output_dir,
            color,
            live,
            run_lines: !(live && io::stdout().is_terminal()),
        }
    }
}

/// The terminal report.
pub struct Terminal {
    plain: Plain,
    out: Box<dyn Write + Send>,
    live: Option<Live>,
    handle: TerminalHandle,
    /// What is to be printed as soon as nobody else has the terminal.
    held: String,
}

impl Terminal {
    /// Print to standard output, with the live display on standard error if asked for.
    pub fn new(options: TerminalOptions) -> Terminal {
        Terminal::with_writer(options, Box::new(io::stdout()))
    }

    /// Print to `out`.
    pub fn with_writer(options: TerminalOptions, out: Box<dyn Write + Send>) -> Terminal {
        let live = options.live.then(Live::new);
        let handle = live
            .as_ref()
            .map_or_else(TerminalHandle::default, Live::handle);
        Terminal {
            plain: Plain::new(options),
            out,
            live,
            handle,
            held: String::new(),
        }
    }

    /// For those who want to have the terminal for themselves for a while.
    pub fn handle(&self) -> TerminalHandle {
        self.handle.clone()
    }

    /// No more events follow: print what was lost, the summary and the result. Nothing, if the run came to its end.
    pub fn finish(&mut self) -> io::Result<()> {
        let text = self.plain.finish();
        self.live = None;
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        self.held.push_str(text);
        if self.held.is_empty() {
            return Ok(());
        }
        let (out, held) = (&mut self.out, &mut self.held);
        let mut write = || {
            let text = std::mem::take(held);
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        let live = &self.live;
        let written = self.handle.unless_lent(|| match live {
            Some(live) => live.suspend(write),
            None => write(),
        });
        written.unwrap_or(Ok(()))
    }
}

impl Reporter for Terminal {
    fn event(&mut self, event: &Event) -> io::Result<()> {
        let text = self.plain.event(event);
        if self.plain.is_finished() {
            self.live = None;
        }
        let written = self.write(&text);
        if let Some(live) = &self.live {
            live.event(event);
        }
        written
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal")
            .field("live", &self.live.is_some())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use kolea_model::EventKind;

    use super::*;

    #[derive(Clone, Default)]
    struct Out(Arc<Mutex<Vec<u8>>>);

    impl Write for Out {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_terminal_that_is_lent_stays_quiet_and_loses_nothing() {
        for live in [false, true] {
            let out = Out::default();
            let options = TerminalOptions {
                live,
                ..TerminalOptions::default()
            };
            let mut terminal = Terminal::with_writer(options, Box::new(out.clone()));
            let handle = terminal.handle();
            let mut warn = |message: &str| {
                let kind = EventKind::Warning {
                    message: message.to_owned(),
                };
                let time = chrono::Utc::now();
                terminal.event(&Event { time, kind }).unwrap();
                String::from_utf8(out.0.lock().unwrap().clone()).unwrap()
            };
            assert_eq!(warn("a"), "warning: a\n");
            let lent = handle.lend();
            assert_eq!(warn("b"), "warning: a\n");
            drop(lent);
            assert_eq!(warn("c"), "warning: a\nwarning: b\nwarning: c\n");
        }
    }
}
