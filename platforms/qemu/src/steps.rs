//! What was done to start a machine, and how long it took.

use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use chrono::Utc;
use kolea_machine::Step;

/// Collects the steps of a machine until somebody asks for them.
#[derive(Debug, Default)]
pub struct Steps(Mutex<Vec<Step>>);

impl Steps {
    /// Waits for something and notes how long it took, whatever came of it.
    pub async fn time<T>(&self, name: &str, future: impl Future<Output = T>) -> T {
        let (began, clock) = (Utc::now(), Instant::now());
        let result = future.await;
        let step = Step {
            name: name.to_owned(),
            began,
            seconds: clock.elapsed().as_secs_f64(),
        };
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(step);
        result
    }

    /// Takes over what somebody else has collected.
    pub fn append(&self, other: &Steps) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .extend(other.take());
    }

    /// The steps since the last call.
    pub fn take(&self) -> Vec<Step> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}
