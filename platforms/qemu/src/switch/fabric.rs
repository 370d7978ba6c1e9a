//! What becomes of a frame: a pure function of the frames so far, of what was asked of the network, and of the time.

use std::collections::BTreeMap;
use std::time::Duration;

use kolea_machine::Cable;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::addresses::SWITCH_MAC;
use super::frame::Frame;
use super::queue::Queue;
use super::table::Table;

#[derive(Debug, Default)]
struct Port {
    /// Whether a machine is there. What was asked of its cable may come before it, and stays after it.
    attached: bool,
    cable: Cable,
    queue: Queue,
}

/// What there is for a machine.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// A frame.
    Frame(Frame),
    /// Nothing before that time.
    At(Duration),
    /// Nothing so far.
    Nothing,
    /// Nothing any more: the machine is not attached.
    Detached,
}

/// What a frame that came in leads to.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Received {
    /// The machines for which there is something new.
    pub wake: Vec<u32>,
    /// Whether the switch itself is to look at it.
    pub for_switch: bool,
}

/// A learning switch. Machines go by their numbers. Times are since any fixed moment.
#[derive(Debug)]
pub struct Fabric {
    ports: BTreeMap<u32, Port>,
    table: Table,
    /// The group of each machine that is in one, if the network is cut.
    groups: Option<BTreeMap<u32, usize>>,
    chance: StdRng,
}

impl Fabric {
    /// A switch without machines. Which frames are lost on a bad cable follows from the seed.
    pub fn new(seed: u64) -> Fabric {
        Fabric {
            ports: BTreeMap::new(),
            table: Table::default(),
            groups: None,
            chance: StdRng::seed_from_u64(seed),
        }
    }

    /// Attaches a machine. False if it is attached.
    pub fn attach(&mut self, machine: u32) -> bool {
        let port = self.ports.entry(machine).or_default();
        !std::mem::replace(&mut port.attached, true)
    }

    /// Detaches a machine; whatever is on its way to it is lost.
    pub fn detach(&mut self, machine: u32) {
        if let Some(port) = self.ports.get_mut(&machine) {
            port.attached = false;
            port.queue = Queue::default();
        }
        self.table.forget(machine);
    }

    /// Gives a machine another cable.
    pub fn set_cable(&mut self, machine: u32, cable: Cable) {
        let port = self.ports.entry(machine).or_default();
        port.cable = Cable {
            // What is no number is no loss.
            loss: if cable.loss > 0.0 {
                cable.loss.min(1.0)
            } else {
                0.0
            },
            ..cable
        };
    }

    /// Cuts the network: machines reach each other within a group only. Those in none reach nobody.
    pub fn partition(&mut self, groups: &[&[u32]]) {
        let members = groups.iter().enumerate();
        let members = members.flat_map(|(group, members)| members.iter().map(move |m| (*m, group)));
        self.groups = Some(members.collect());
    }

    /// Makes the network whole.
    pub fn join(&mut self) {
        self.groups = None;
    }

    fn reaches(&self, from: u32, to: u32) -> bool {
        let Some(groups) = &self.groups else {
            return true;
        };
        from == to
            || groups
                .get(&from)
                .is_some_and(|group| groups.get(&to) == Some(group))
    }

    fn is_attached(&self, machine: u32) -> bool {
        self.ports.get(&machine).is_some_and(|port| port.attached)
    }

    /// Takes a frame that a machine has sent.
    pub fn receive(&mut self, from: u32, frame: &Frame, now: Duration) -> Received {
        let mut received = Received::default();
        let Some((to, source)) = frame.addresses() else {
            return received;
        };
        let Some(port) = self.ports.get(&from).filter(|port| port.attached) else {
            return received;
        };
        let cable = port.cable;
        if self.is_lost(cable) {
            return received;
        }
        if !source.is_multicast() && source != SWITCH_MAC {
            self.table.learn(source, from, now);
        }
        let to_all = to.is_multicast();
        received.for_switch = to_all || to == SWITCH_MAC;
        if to == SWITCH_MAC {
            return received;
        }
        // Where a machine can't reach, it can't have learnt that somebody is there either: within its own group it is looked for.
        let known = self
            .table
            .find(to, now)
            .filter(|port| !to_all && self.is_attached(*port) && self.reaches(from, *port));
        let targets: Vec<u32> = match known {
            Some(port) => vec![port],
            None => self.ports.keys().copied().collect(),
        };
        for target in targets {
            if target != from && self.is_attached(target) && self.reaches(from, target) {
                let due = now.saturating_add(cable.delay);
                self.send(Some(from), target, frame.clone(), due);
                received.wake.push(target);
            }
        }
        received
    }

    /// Takes a frame that the switch itself has for a machine, in answer to one of it.
    pub fn answer(&mut self, to: u32, frame: Frame, now: Duration) {
        if let Some(port) = self.ports.get(&to).filter(|port| port.attached) {
            let due = now.saturating_add(port.cable.delay);
            self.send(None, to, frame, due);
        }
    }

    /// Puts a frame into a machine's cable.
    fn send(&mut self, from: Option<u32>, to: u32, frame: Frame, due: Duration) {
        let Some(cable) = self.ports.get(&to).map(|port| port.cable) else {
            return;
        };
        if self.is_lost(cable) {
            return;
        }
        if let Some(port) = self.ports.get_mut(&to) {
            let due = due.saturating_add(cable.delay);
            port.queue.push(from, frame, due);
        }
    }

    fn is_lost(&mut self, cable: Cable) -> bool {
        // A good cable is no matter of chance.
        cable.loss > 0.0 && self.chance.random_bool(cable.loss)
    }

    /// What there is for a machine by now. A network that was cut meanwhile has lost what was on its way.
    pub fn next(&mut self, machine: u32, now: Duration) -> Next {
        loop {
            let Some(port) = self.ports.get_mut(&machine).filter(|port| port.attached) else {
                return Next::Detached;
            };
            let Some((from, frame)) = port.queue.pop(now) else {
                return port.queue.due().map_or(Next::Nothing, Next::At);
            };
            if from.is_none_or(|from| self.reaches(from, machine)) {
                return Next::Frame(frame);
            }
        }
    }
}

#[cfg(test)]
#[path = "fabric_tests.rs"]
mod tests;
