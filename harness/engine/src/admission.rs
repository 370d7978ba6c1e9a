//! Who may start next: a slot has to be free for each of its machines, their memory, and the host's ports that its tests want for themselves; of
//! those for whom all are, the most urgent.

use std::collections::{BTreeSet, VecDeque};

/// How many groups may overtake one that waits for memory or slots, per slot. After that it is next, so a big machine waits
/// for at most this many rounds of smaller ones.
const OVERTAKES_PER_SLOT: usize = 2;

/// What an item takes from the others while it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Share {
    /// Machines at the same time. Who has more than there are slots waits for all of these.
    pub machines: usize,
    /// Memory, in MiB.
    pub memory: u64,
    /// Ports of the host.
    pub ports: BTreeSet<u16>,
}

impl Default for Share {
    /// One machine, and nothing else.
    fn default() -> Self {
        Share {
            machines: 1,
            memory: 0,
            ports: BTreeSet::new(),
        }
    }
}

impl Share {
    /// A machine with so much memory.
    #[cfg(test)]
    fn of(memory: u64) -> Self {
        Share {
            memory,
            ..Share::default()
        }
    }
}

#[derive(Debug)]
struct Waiting<T> {
    item: T,
    share: Share,
    priority: f64,
    overtaken: usize,
}

/// A queue, the most urgent first, and what is in use.
#[derive(Debug)]
pub struct Admission<T> {
    slots: usize,
    budget: u64,
    used_slots: usize,
    used_memory: u64,
    used_ports: BTreeSet<u16>,
    queue: VecDeque<Waiting<T>>,
    /// Those that run, have given their memory back and wait for another amount: number and cost.
    exchanging: VecDeque<(u64, u64)>,
}

impl<T> Admission<T> {
    /// `slots` machines at once, `budget` MiB for all of them together.
    pub fn new(slots: usize, budget: u64) -> Self {
        Admission {
            slots: slots.max(1),
            budget,
            used_slots: 0,
            used_memory: 0,
            used_ports: BTreeSet::new(),
            queue: VecDeque::new(),
            exchanging: VecDeque::new(),
        }
    }

    /// Puts an item in the queue, behind those that are at least as urgent, or gives it back if there can never be so much
    /// memory.
    pub fn push(&mut self, item: T, share: Share, priority: f64) -> Result<(), T> {
        if share.memory > self.budget {
            return Err(item);
        }
        let machines = share.machines.clamp(1, self.slots);
        let share = Share { machines, ..share };
        let place = self
            .queue
            .partition_point(|waiting| waiting.priority >= priority);
        let waiting = Waiting {
            item,
            share,
            priority,
            overtaken: 0,
        };
        self.queue.insert(place, waiting);
        Ok(())
    }

    /// One that runs gives back its memory, and waits for another amount, within the budget. It comes before all that wait to
    /// start: it has a slot already.
    pub fn exchange(&mut self, number: u64, old: u64, new: u64) {
        self.used_memory -= old;
        self.exchanging.push_back((number, new));
    }

    /// One of those that wait for another amount has it now: its number and the amount.
    pub fn exchanged(&mut self) -> Option<(u64, u64)> {
        let (_, cost) = self.exchanging.front()?;
        if *cost > self.budget - self.used_memory {
            return None;
        }
        self.used_memory += cost;
        self.exchanging.pop_front()
    }

    /// One that waits for another amount needs none any more. Whether it still waited.
    pub fn withdraw(&mut self, number: u64) -> bool {
        let before = self.exchanging.len();
        self.exchanging.retain(|(waiting, _)| *waiting != number);
        self.exchanging.len() < before
    }

    /// Takes the next item that may start now, with its share, which has to be given back with [`Admission::release`].
    ///
    /// Whoever waits for a port holds up nobody: it gets the port from the one that runs, and memory only then.
    pub fn take(&mut self) -> Option<(T, Share)> {
        if self.used_slots >= self.slots || !self.exchanging.is_empty() {
            return None;
        }
        let (free_slots, free) = (self.slots - self.used_slots, self.budget - self.used_memory);
        let patience = self.slots * OVERTAKES_PER_SLOT;
        let mut chosen = None;
        let mut overtaken = Vec::new();
        for (index, waiting) in self.queue.iter().enumerate() {
            if !waiting.share.ports.is_disjoint(&self.used_ports) {
                continue;
            }
            if waiting.share.memory <= free && waiting.share.machines <= free_slots {
                chosen = Some(index);
                break;
            }
            if waiting.overtaken >= patience {
                break;
            }
            overtaken.push(index);
        }
        let index = chosen?;
        for index in overtaken {
            self.queue[index].overtaken += 1;
        }
        let waiting = self.queue.remove(index)?;
        self.used_slots += waiting.share.machines;
        self.used_memory += waiting.share.memory;
        self.used_ports.extend(&waiting.share.ports);
        Some((waiting.item, waiting.share))
    }

    /// Gives back what [`Admission::take`] gave.
    pub fn release(&mut self, share: &Share) {
        self.used_slots -= share.machines;
        self.used_memory -= share.memory;
        self.used_ports.retain(|port| !share.ports.contains(port));
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
        assert_eq!(admission.push("huge", Share::of(1001), 0.0), Err("huge"));
        assert_eq!(admission.push("all", Share::of(1000), 0.0), Ok(()));
        assert_eq!(admission.take(), Some(("all", Share::of(1000))));
    }

    #[test]
    fn a_big_one_is_overtaken_but_not_for_ever() {
        let mut admission = Admission::new(2, 100);
        admission.push("running", Share::of(60), 0.0).unwrap();
        admission.push("big", Share::of(100), 0.0).unwrap();
        for _ in 0..10 {
            admission.push("small", Share::of(10), 0.0).unwrap();
        }
        assert_eq!(admission.take().map(|taken| taken.0), Some("running"));
        let mut overtook = 0;
        while let Some((name, cost)) = admission.take() {
            assert_eq!(name, "small");
            overtook += 1;
            admission.release(&cost);
        }
        assert_eq!(overtook, 2 * OVERTAKES_PER_SLOT);
        admission.release(&Share::of(60));
        assert_eq!(admission.take().map(|taken| taken.0), Some("big"));
    }

    #[test]
    fn the_most_urgent_is_first_and_equals_keep_their_order() {
        let mut admission = Admission::new(9, 9);
        for (item, priority) in [("a", 1.0), ("b", 5.0), ("c", 1.0), ("d", 5.0), ("e", 3.0)] {
            admission.push(item, Share::of(1), priority).unwrap();
        }
        let order: Vec<_> = std::iter::from_fn(|| admission.take())
            .map(|(item, _)| item)
            .collect();
        assert_eq!(order, ["b", "d", "e", "a", "c"]);
    }

    #[test]
    fn who_exchanges_its_memory_comes_before_all_that_wait() {
        let mut admission = Admission::new(4, 100);
        for item in 1..4 {
            admission.push(item, Share::of(40), 0.0).unwrap();
        }
        assert!(admission.take().is_some() && admission.take().is_some());
        admission.exchange(1, 40, 90);
        assert_eq!((admission.take(), admission.exchanged()), (None, None));
        admission.release(&Share::of(40));
        assert_eq!(admission.exchanged(), Some((1, 90)));
        assert_eq!(admission.take(), None);
        admission.exchange(1, 90, 100);
        assert!(admission.withdraw(1) && !admission.withdraw(1));
        assert_eq!(admission.take(), Some((3, Share::of(40))));
    }

    fn with_ports(memory: u64, ports: &[u16]) -> Share {
        Share {
            memory,
            ports: ports.iter().copied().collect(),
            ..Share::default()
        }
    }

    #[test]
    fn who_waits_for_a_port_holds_up_nobody_else() {
        let mut admission = Admission::new(9, 100);
        for (item, ports) in [
            ("first", &[80, 443][..]),
            ("second", &[443]),
            ("other", &[8080]),
            ("none", &[]),
        ] {
            admission.push(item, with_ports(10, ports), 0.0).unwrap();
        }
        let mut taken = Vec::new();
        while let Some((item, share)) = admission.take() {
            taken.push((item, share));
        }
        let names: Vec<&str> = taken.iter().map(|(item, _)| *item).collect();
        assert_eq!(names, ["first", "other", "none"]);
        admission.release(&taken[1].1);
        assert_eq!(admission.take(), None);
        admission.release(&taken[0].1);
        assert_eq!(admission.take().unwrap().0, "second");
    }

    #[test]
    fn a_big_one_gets_its_port_too() {
        let mut admission = Admission::new(2, 100);
        admission
            .push("running", with_ports(60, &[80]), 1.0)
            .unwrap();
        admission.push("big", with_ports(100, &[80]), 0.0).unwrap();
        for _ in 0..20 {
            admission.push("small", with_ports(10, &[80]), 0.0).unwrap();
        }
        let mut order = Vec::new();
        while let Some((item, share)) = admission.take() {
            order.push(item);
            admission.release(&share);
        }
        assert!(
            order.iter().position(|item| *item == "big").unwrap() <= 2 * OVERTAKES_PER_SLOT + 1
        );
    }

    proptest! {
        #[test]
        fn the_budget_holds_and_everybody_gets_a_turn(
            slots in 1usize..6,
            wishes in proptest::collection::vec(
                (1u64..120, 0u8..4, 1usize..4, proptest::collection::btree_set(1u16..4, 0..3)), 1..40),
            order in proptest::collection::vec((0usize..100, proptest::option::weighted(0.2, 1u64..100)), 200),
        ) {
            let mut admission = Admission::new(slots, 100);
            let mut rejected = 0;
            for (index, (memory, priority, machines, ports)) in wishes.iter().enumerate() {
                let share = Share { machines: *machines, memory: *memory, ports: ports.clone() };
                if admission.push(index, share, f64::from(*priority)).is_err() {
                    prop_assert!(*memory > 100);
                    rejected += 1;
                }
            }
            let mut running: Vec<(u64, Share)> = Vec::new();
            let mut waiting: Vec<(u64, Share)> = Vec::new();
            let mut started = 0;
            for (pick, exchange) in order {
                while let Some((number, memory)) = admission.exchanged() {
                    let place = waiting.iter().position(|(other, _)| *other == number).unwrap();
                    let share = Share { memory, ..waiting.remove(place).1 };
                    running.push((number, share));
                }
                while let Some((index, share)) = admission.take() {
                    running.push((index as u64, share));
                    started += 1;
                }
                let machines = running.iter().chain(&waiting).map(|(_, share)| share.machines);
                prop_assert!(machines.sum::<usize>() <= slots);
                prop_assert!(running.iter().map(|(_, share)| share.memory).sum::<u64>() <= 100);
                let all = || running.iter().chain(&waiting).flat_map(|(_, share)| &share.ports);
                prop_assert_eq!(all().count(), all().collect::<BTreeSet<_>>().len());
                if running.is_empty() {
                    break;
                }
                let (number, share) = running.swap_remove(pick % running.len());
                match exchange {
                    Some(other) => {
                        admission.exchange(number, share.memory, other);
                        waiting.push((number, share));
                    }
                    None => admission.release(&share),
                }
            }
            prop_assert!(admission.is_empty() && admission.exchanging.is_empty());
            prop_assert_eq!(started + rejected, wishes.len());
        }
    }
}
