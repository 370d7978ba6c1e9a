//! Who may start next: a slot has to be free, and the machine's memory.

use std::collections::VecDeque;

/// How many groups may overtake one that waits for memory, per slot. After that it is next, so a big machine waits
/// for at most this many rounds of smaller ones.
const OVERTAKES_PER_SLOT: usize = 2;

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    cost: u64,
    overtaken: usize,
}

/// A queue in plan order, and what is in use.
#[derive(Debug)]
pub struct Admission<T> {
    slots: usize,
    budget: u64,
    used_slots: usize,
    used_memory: u64,
    queue: VecDeque<Waiting<T>>,
}

impl<T> Admission<T> {
    /// `slots` machines at once, `budget` MiB for all of them together.
    pub fn new(slots: usize, budget: u64) -> Self {
        Admission {
            slots: slots.max(1),
            budget,
            used_slots: 0,
            used_memory: 0,
            queue: VecDeque::new(),
        }
    }

    /// Puts an item in the queue, or gives it back if its cost (MiB) can never be met.
    pub fn push(&mut self, item: T, cost: u64) -> Result<(), T> {
        if cost > self.budget {
            return Err(item);
        }
        self.queue.push_back(Waiting {
            item,
            cost,
            overtaken: 0,
        });
        Ok(())
    }

    /// Takes the next item that may start now, with its cost, which has to be given back with [`Admission::release`].
    pub fn take(&mut self) -> Option<(T, u64)> {
        if self.used_slots >= self.slots {
            return None;
        }
        let free = self.budget - self.used_memory;
        let patience = self.slots * OVERTAKES_PER_SLOT;
        let mut chosen = None;
        for (index, waiting) in self.queue.iter().enumerate() {
            if waiting.cost <= free {
                chosen = Some(index);
                break;
            }
            if waiting.overtaken >= patience {
                break;
            }
        }
        let index = chosen?;
        for waiting in self.queue.iter_mut().take(index) {
            waiting.overtaken += 1;
        }
        let waiting = self.queue.remove(index)?;
        self.used_slots += 1;
        self.used_memory += waiting.cost;
        Some((waiting.item, waiting.cost))
    }

    /// Gives back what [`Admission::take`] gave.
    pub fn release(&mut self, cost: u64) {
        self.used_slots -= 1;
        self.used_memory -= cost;
    }

    /// Takes everything that waits, in order.
    pub fn drain(&mut self) -> Vec<T> {
        self.queue.drain(..).map(|waiting| waiting.item).collect()
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_can_never_fit_is_given_back_at_once() {
        let mut admission = Admission::new(2, 1000);
        assert_eq!(admission.push("huge", 1001), Err("huge"));
        assert_eq!(admission.push("all", 1000), Ok(()));
        assert_eq!(admission.take(), Some(("all", 1000)));
    }

    #[test]
    fn a_big_one_is_overtaken_but_not_for_ever() {
        let mut admission = Admission::new(2, 100);
        admission.push("running", 60).unwrap();
        admission.push("big", 100).unwrap();
        for _ in 0..10 {
            admission.push("small", 10).unwrap();
        }
        assert_eq!(admission.take().map(|taken| taken.0), Some("running"));
        let mut overtook = 0;
        while let Some((name, cost)) = admission.take() {
            assert_eq!(name, "small");
            overtook += 1;
            admission.release(cost);
        }
        assert_eq!(overtook, 2 * OVERTAKES_PER_SLOT);
        admission.release(60);
        assert_eq!(admission.take().map(|taken| taken.0), Some("big"));
    }

    proptest! {
        #[test]
        fn the_budget_holds_and_everybody_gets_a_turn(
            slots in 1usize..6,
            costs in proptest::collection::vec(1u64..120, 1..40),
            order in proptest::collection::vec(0usize..100, 200),
        ) {
            let mut admission = Admission::new(slots, 100);
            let mut rejected = 0;
            for (index, cost) in costs.iter().enumerate() {
                if admission.push(index, *cost).is_err() {
                    prop_assert!(*cost > 100);
                    rejected += 1;
                }
            }
            let mut running: Vec<u64> = Vec::new();
            let mut started = 0;
            for pick in order {
                while let Some((_, cost)) = admission.take() {
                    running.push(cost);
                    started += 1;
                    prop_assert!(running.len() <= slots);
                    prop_assert!(running.iter().sum::<u64>() <= 100);
                }
                if running.is_empty() {
                    break;
                }
                admission.release(running.swap_remove(pick % running.len()));
            }
            prop_assert!(admission.is_empty());
            prop_assert_eq!(started + rejected, costs.len());
        }
    }
}
