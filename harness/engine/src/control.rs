//! How the user stops a run: once to let go, twice to kill.

use std::sync::Arc;

use tokio::sync::watch;

/// How far a run has been asked to stop.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
enum Wish {
    /// Go on.
    #[default]
    Run,
    /// Start nothing new; what runs ends by itself.
    Drain,
    /// Stop everything now.
    Kill,
}

#[derive(Clone, Debug, Default)]
struct State {
    wish: Wish,
    signal: String,
}

/// The brake of a run. Clones share it.
#[derive(Clone, Debug)]
pub struct Control {
    state: Arc<watch::Sender<State>>,
}

impl Default for Control {
    fn default() -> Self {
        Control::new()
    }
}

impl Control {
    /// A brake that nobody has touched.
    pub fn new() -> Self {
        Control {
            state: Arc::new(watch::Sender::new(State::default())),
        }
    }

    /// As [`Control::interrupt_by`] with Ctrl-C's signal.
    pub fn interrupt(&self) {
        self.interrupt_by("SIGINT");
    }

    /// Drains the run: nothing new starts, what runs ends by itself. `signal` is named in the reports.
    pub fn interrupt_by(&self, signal: &str) {
        self.raise(Wish::Drain, signal);
    }

    /// Stops everything now.
    pub fn kill(&self) {
        self.raise(Wish::Kill, "SIGINT");
    }

    /// Never lowers a wish; the first signal is the one that is named.
    fn raise(&self, wish: Wish, signal: &str) {
        self.state.send_if_modified(|state| {
            if state.signal.is_empty() {
                signal.clone_into(&mut state.signal);
            }
            let higher = wish > state.wish;
            if higher {
                state.wish = wish;
            }
            higher
        });
    }

    /// The signal that asked for the end, if one did.
    pub fn signal(&self) -> Option<String> {
        let state = self.state.borrow();
        (state.wish > Wish::Run).then(|| state.signal.clone())
    }

    /// Whether nothing new may start.
    pub fn is_draining(&self) -> bool {
        self.state.borrow().wish >= Wish::Drain
    }

    /// Whether everything has to stop.
    pub fn is_killed(&self) -> bool {
        self.state.borrow().wish >= Wish::Kill
    }

    /// Waits until nothing new may start.
    pub async fn draining(&self) {
        self.reached(Wish::Drain).await;
    }

    /// Waits until everything has to stop.
    pub async fn killed(&self) {
        self.reached(Wish::Kill).await;
    }

    async fn reached(&self, wish: Wish) {
        let mut state = self.state.subscribe();
        if state.wait_for(|state| state.wish >= wish).await.is_err() {
            // Unreachable while `self` holds the sender; waiting for ever is then what "never asked" means.
            std::future::pending::<()>().await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_kill_is_also_a_drain_and_is_never_taken_back() {
        let control = Control::new();
        assert!(!control.is_draining());
        assert_eq!(control.signal(), None);
        control.interrupt_by("SIGTERM");
        assert!(control.is_draining() && !control.is_killed());
        control.kill();
        control.interrupt();
        assert!(control.is_killed());
        control.draining().await;
        control.killed().await;
        assert_eq!(control.signal().as_deref(), Some("SIGTERM"));
    }
}
