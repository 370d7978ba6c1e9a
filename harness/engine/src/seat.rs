//! What a running group has of the host: memory, and processors while a machine of it comes up.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::Control;

/// The wish of a group to have another amount of memory than it was admitted with.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// Who wishes it.
    pub seat: u64,
    /// What it wants, in MiB. What it had is given back at once.
    pub memory: u64,
    /// Told when it has it.
    pub granted: oneshot::Sender<()>,
}

/// A group's place among those that run.
#[derive(Clone, Debug)]
pub(crate) struct Seat {
    pub number: u64,
    pub exchanges: mpsc::UnboundedSender<Exchange>,
}

impl Seat {
    /// Gives back the memory that the group has (no machine of it is alive), and waits for another amount, which must be within
    /// the budget. False if the run was interrupted meanwhile.
    pub async fn exchange(&self, memory: u64, control: &Control) -> bool {
        let (granted, answer) = oneshot::channel();
        let exchange = Exchange {
            seat: self.number,
            memory,
            granted,
        };
        if self.exchanges.send(exchange).is_err() {
            return false;
        }
        tokio::select! {
            answer = answer => answer.is_ok(),
            () = control.draining() => false,
        }
    }
}

/// The host's processors: under emulation a machine that boots keeps some busy, and more of them than there are would only
/// slow each other down.
#[derive(Clone, Debug)]
pub(crate) struct Processors {
    count: u32,
    free: Arc<Semaphore>,
}

/// Processors that a machine keeps busy until it is ready. Dropping it gives them back.
#[derive(Debug, Default)]
pub(crate) struct Busy {
    permit: Option<OwnedSemaphorePermit>,
}

impl Busy {
    /// Divides them among that many machines, as evenly as it goes.
    pub fn split(mut self, machines: usize) -> Vec<Busy> {
        let mut parts = Vec::with_capacity(machines);
        for left in (1..machines).rev() {
            let permit = self.permit.as_mut().and_then(|permit| {
                let all = permit.num_permits();
                permit.split(all / (left + 1))
            });
            parts.push(Busy { permit });
        }
        parts.push(self);
        parts
    }
}

impl Processors {
    pub fn new(count: usize) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX).clamp(1, 1 << 16);
        Processors {
            count,
            free: Arc::new(Semaphore::new(count as usize)),
        }
    }

    /// Waits until so many are free (or all, if there are not so many), first come first served. `None` if the run was
    /// interrupted before. None are needed where the guest's own instructions are executed.
    pub async fn take(&self, count: u32, control: &Control) -> Option<Busy> {
        if count == 0 {
            return Some(Busy::default());
        }
        let permits = Arc::clone(&self.free).acquire_many_owned(count.min(self.count));
        tokio::select! {
            biased;
            permit = permits => Some(Busy { permit: permit.ok() }),
            () = control.draining() => None,
        }
    }
}
