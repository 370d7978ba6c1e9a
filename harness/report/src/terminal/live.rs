//! The live display: the board, drawn on standard error by indicatif.

use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use chrono::Utc;
use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use kolea_model::Event;

use super::board::Board;
use super::lend::TerminalHandle;

/// The emulated guests want the processor more than the clock on the screen does.
const REFRESH: Duration = Duration::from_secs(1);

pub(super) struct Live {
    multi: MultiProgress,
    handle: TerminalHandle,
    screen: Arc<Mutex<Screen>>,
    /// Closed to stop the ticker.
    stop: Option<Sender<()>>,
    ticker: Option<JoinHandle<()>>,
}

struct Screen {
    board: Board,
    multi: MultiProgress,
    handle: TerminalHandle,
    /// One for each line.
    bars: Vec<ProgressBar>,
}

impl Live {
    pub(super) fn new() -> Live {
        let multi = MultiProgress::new();
        let handle = TerminalHandle::new(Some(multi.clone()));
        let screen = Arc::new(Mutex::new(Screen {
            board: Board::default(),
            multi: multi.clone(),
            handle: handle.clone(),
            bars: Vec::new(),
        }));
        let (stop, stopped) = channel();
        let shown = Arc::clone(&screen);
        let tick = move || {
            while stopped.recv_timeout(REFRESH) == Err(RecvTimeoutError::Timeout) {
                lock(&shown).draw();
            }
        };
        // Without a ticker the display only changes when something happens, which is better than failing a run.
        let ticker = std::thread::Builder::new()
            .name("display".into())
            .spawn(tick);
        Live {
            multi,
            handle,
            screen,
            stop: Some(stop),
            ticker: ticker.ok(),
        }
    }

    pub(super) fn event(&self, event: &Event) {
        let mut screen = lock(&self.screen);
        screen.board.event(event);
        screen.draw();
    }

    pub(super) fn handle(&self) -> TerminalHandle {
        self.handle.clone()
    }

    /// Do something that prints, with the display out of the way.
    pub(super) fn suspend<T>(&self, print: impl FnOnce() -> T) -> T {
        self.multi.suspend(print)
    }
}

impl Screen {
    fn draw(&mut self) {
        let handle = self.handle.clone();
        handle.unless_lent(|| self.draw_lines());
    }

    fn draw_lines(&mut self) {
        let lines = self.board.lines(Utc::now());
        while self.bars.len() > lines.len() {
            if let Some(bar) = self.bars.pop() {
                bar.finish_and_clear();
                self.multi.remove(&bar);
            }
        }
        while self.bars.len() < lines.len() {
            // The default style if the template were wrong; the tests know it is not.
            let style = ProgressStyle::with_template("{wide_msg}");
            let style = style.unwrap_or_else(|_| ProgressStyle::default_spinner());
            let bar = self.multi.add(ProgressBar::new_spinner());
            bar.set_style(style);
            self.bars.push(bar);
        }
        for (bar, line) in self.bars.iter().zip(lines) {
            bar.set_message(line);
        }
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(ticker) = self.ticker.take() {
            // It does nothing that could panic for a reason of its own.
            let _ = ticker.join();
        }
        for bar in &lock(&self.screen).bars {
            bar.finish_and_clear();
        }
    }
}

/// A panic elsewhere while the lock was held leaves a board that can still be drawn.
fn lock(screen: &Mutex<Screen>) -> std::sync::MutexGuard<'_, Screen> {
    screen.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_template_is_one() {
        assert!(ProgressStyle::with_template("{wide_msg}").is_ok());
    }

    #[test]
    fn the_display_ends_at_once_when_it_is_dropped() {
        let before = std::time::Instant::now();
        drop(Live::new());
        assert!(before.elapsed() < REFRESH);
    }
}
