//! Standing aside while somebody else has the terminal.

use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use indicatif::MultiProgress;

#[derive(Default)]
struct State {
    lent: bool,
    live: Option<MultiProgress>,
}

/// A way to the terminal for those who want to have it for themselves. Clones are of the same terminal.
#[derive(Clone, Default)]
pub struct TerminalHandle(Arc<Mutex<State>>);

/// Nothing is printed until this is dropped; what came meanwhile is printed with the next event.
#[derive(Debug)]
pub struct Lent(TerminalHandle);

impl TerminalHandle {
    pub(super) fn new(live: Option<MultiProgress>) -> TerminalHandle {
        TerminalHandle(Arc::new(Mutex::new(State { lent: false, live })))
    }

    /// Clears the live display away, and keeps the report quiet.
    pub fn lend(&self) -> Lent {
        let mut state = self.lock();
        state.lent = true;
        if let Some(live) = &state.live {
            // A display that can't be cleared is a blemish, no more.
            let _ = live.clear();
        }
        Lent(self.clone())
    }

    /// Does something that prints, unless somebody else has the terminal.
    pub(super) fn unless_lent<T>(&self, print: impl FnOnce() -> T) -> Option<T> {
        let state = self.lock();
        (!state.lent).then(print)
    }

    /// The state is whole, whatever a thread that panicked was about.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.0.lock().lent = false;
    }
}

impl fmt::Debug for TerminalHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TerminalHandle").finish_non_exhaustive()
    }
}
