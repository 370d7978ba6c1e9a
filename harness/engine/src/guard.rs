//! Everything that can end a wait before its time.

use std::future::Future;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::{BoxFuture, select_all};
use kolea_machine::{Down, Machine};
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use crate::Control;
use crate::watch::Watcher;

/// A point in time, and the words for what it limits.
#[derive(Clone, Debug)]
pub(crate) struct Limit {
    pub at: Instant,
    /// Such as `the test's time limit of 10 min`.
    pub text: String,
}

impl Limit {
    /// `duration` from now on.
    pub fn after(duration: Duration, what: &str) -> Self {
        Limit::since(Instant::now(), duration, what)
    }

    /// `duration` from `start` on.
    pub fn since(start: Instant, duration: Duration, what: &str) -> Self {
        Limit {
            at: start + duration,
            text: format!("{what} of {}", words(duration)),
        }
    }

    /// The same, so much later.
    #[must_use]
    pub fn later(self, by: Duration) -> Self {
        Limit {
            at: self.at + by,
            ..self
        }
    }

    /// The earlier of two.
    pub fn min(&self, other: Limit) -> Limit {
        if other.at < self.at {
            other
        } else {
            self.clone()
        }
    }
}

/// A duration in the unit that people would use.
pub(crate) fn words(duration: Duration) -> String {
    let seconds = duration.as_secs_f64();
    if seconds < 120.0 {
        format!("{} s", (seconds * 10.0).round() / 10.0)
    } else {
        format!("{} min", (seconds / 6.0).round() / 10.0)
    }
}

/// Why a wait ended before its time.
#[derive(Clone, Debug)]
pub(crate) enum Stop {
    /// The user wants everything to stop.
    Kill,
    /// The user wants nothing new to start, and what was waited for is not yet any test's business.
    Drain,
    /// The machine said something after which it can't go on; the watcher knows what.
    Fatal,
    /// The machine can't go on.
    Down(Down),
    /// The guest was reset, and nobody had asked for it.
    Reset,
    /// Time is up.
    Limit(Limit),
}

/// What a wait is raced against. Whatever is absent can't end it.
#[derive(Debug)]
pub(crate) struct Guard<'a> {
    pub control: &'a Control,
    pub limit: &'a Limit,
    pub watcher: Option<&'a Watcher>,
    pub machine: Option<&'a dyn Machine>,
    /// The machines besides that one.
    pub others: Vec<(&'a Watcher, &'a dyn Machine)>,
    pub resets: Option<&'a mut watch::Receiver<u32>>,
    pub stop_on_drain: bool,
}

impl<'a> Guard<'a> {
    /// Against the user and the clock only.
    pub fn new(control: &'a Control, limit: &'a Limit) -> Self {
        Guard {
            control,
            limit,
            watcher: None,
            machine: None,
            others: Vec::new(),
            resets: None,
            stop_on_drain: false,
        }
    }

    /// Waits for `work`, which is dropped if something else comes first. What the machine says comes before what
    /// `work` makes of it: a command that breaks because of a panic tells less than the panic.
    pub async fn race<T>(self, work: impl Future<Output = T>) -> Result<T, Stop> {
        let others = || self.others.iter();
        let watchers = self
            .watcher
            .into_iter()
            .chain(others().map(|other| other.0));
        let fatal = first(watchers.map(|watcher| watcher.fatal().boxed()));
        let machines = self
            .machine
            .into_iter()
            .chain(others().map(|other| other.1));
        let down = first(machines.map(|machine| machine.down()));
        let reset = async {
            if let Some(resets) = self.resets
                && resets.changed().await.is_ok()
            {
                return;
            }
            std::future::pending::<()>().await;
        };
        let drain = async {
            if self.stop_on_drain {
                self.control.draining().await;
            } else {
                std::future::pending::<()>().await;
            }
        };
        tokio::select! {
            biased;
            () = self.control.killed() => Err(Stop::Kill),
            _ = fatal => Err(Stop::Fatal),
            done = work => Ok(done),
            down = down => Err(Stop::Down(down)),
            () = reset => Err(Stop::Reset),
            () = drain => Err(Stop::Drain),
            () = sleep_until(self.limit.at) => Err(Stop::Limit(self.limit.clone())),
        }
    }
}

/// What the first of them comes to; of none, nothing ever.
async fn first<T>(futures: impl Iterator<Item = BoxFuture<'_, T>>) -> T {
    let futures: Vec<_> = futures.collect();
    if futures.is_empty() {
        return std::future::pending().await;
    }
    select_all(futures).await.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        for (seconds, text) in [
            (60.0, "60 s"),
            (0.25, "0.3 s"),
            (600.0, "10 min"),
            (150.0, "2.5 min"),
        ] {
            assert_eq!(words(Duration::from_secs_f64(seconds)), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_to_come_ends_the_wait() {
        let control = Control::new();
        let limit = Limit::after(Duration::from_secs(5), "the limit");
        let never = std::future::pending::<()>();
        let stop = Guard::new(&control, &limit).race(never).await;
        assert!(matches!(stop, Err(Stop::Limit(limit)) if limit.text == "the limit of 5 s"));
        let limit = Limit::after(Duration::from_secs(5), "the limit");
        assert!(matches!(
            Guard::new(&control, &limit).race(async { 7 }).await,
            Ok(7)
        ));
        control.kill();
        assert!(matches!(
            Guard::new(&control, &limit).race(async { 7 }).await,
            Err(Stop::Kill)
        ));
    }
}
