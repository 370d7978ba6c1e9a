//! What people and log scrapers see while a run goes on.
//!
//! The lines of `go test`, as kola prints them, go to standard output: `=== RUN   name`, `--- PASS: name (1.23s)`, and
//! at the end `PASS, output in DIR`. When standard error is a terminal, a live display of what runs stands below them.

mod board;
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
}

impl Terminal {
    /// Print to standard output, with the live display on standard error if asked for.
    pub fn new(options: TerminalOptions) -> Terminal {
        Terminal::with_writer(options, Box::new(io::stdout()))
    }

    /// Print to `out`.
    pub fn with_writer(options: TerminalOptions, out: Box<dyn Write + Send>) -> Terminal {
        let live = options.live.then(Live::new);
        Terminal {
            plain: Plain::new(options),
            out,
            live,
        }
    }

    /// No more events follow: print what was lost, the summary and the result. Nothing, if the run came to its end.
    pub fn finish(&mut self) -> io::Result<()> {
        let text = self.plain.finish();
        self.live = None;
        self.write(&text)
    }

    fn write(&mut self, text: &str) -> io::Result<()> {
        if text.is_empty() {
            return Ok(());
        }
        let out = &mut self.out;
        let mut write = || {
            out.write_all(text.as_bytes())?;
            out.flush()
        };
        match &self.live {
            Some(live) => live.suspend(write),
            None => write(),
        }
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
