use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;
use crate::switch::addresses::mac;

const SECOND: Duration = Duration::from_secs(1);
const NONE: [u32; 0] = [];

fn frame(to: [u8; 6], from: [u8; 6], tag: u32) -> Frame {
    let mut bytes = [&to[..], &from[..], &[0x08, 0x00]].concat();
    bytes.extend_from_slice(&tag.to_be_bytes());
    Frame::new(&bytes).unwrap()
}

fn unicast(from: u32, to: u32, tag: u32) -> Frame {
    frame(mac(to).0, mac(from).0, tag)
}

fn broadcast(from: u32, tag: u32) -> Frame {
    frame([0xff; 6], mac(from).0, tag)
}

fn tag(frame: &Frame) -> u32 {
    u32::from_be_bytes(frame.ethernet()[14..18].try_into().unwrap())
}

fn fabric(machines: u32) -> Fabric {
    let mut fabric = Fabric::new(0);
    for machine in 0..machines {
        assert!(fabric.attach(machine));
    }
    fabric
}

/// The tags of what there is for a machine.
fn take(fabric: &mut Fabric, machine: u32, now: Duration) -> Vec<u32> {
    std::iter::from_fn(|| match fabric.next(machine, now) {
        Next::Frame(frame) => Some(tag(&frame)),
        _ => None,
    })
    .collect()
}

#[test]
fn it_learns_where_everybody_is() {
    let mut fabric = fabric(3);
    let now = Duration::ZERO;
    assert_eq!(fabric.receive(0, &unicast(0, 1, 1), now).wake, [1, 2]);
    assert_eq!(fabric.receive(1, &unicast(1, 0, 2), now).wake, [0]);
    assert_eq!(fabric.receive(0, &unicast(0, 1, 3), now).wake, [1]);
    let all = fabric.receive(2, &broadcast(2, 4), now);
    assert_eq!((all.wake, all.for_switch), (vec![0, 1], true));
    // Something behind the same machine.
    assert_eq!(fabric.receive(1, &unicast(9, 1, 5), now).wake, NONE);
    let own = fabric.receive(0, &frame(SWITCH_MAC.0, mac(0).0, 6), now);
    assert_eq!((own.wake, own.for_switch), (vec![], true));
    assert_eq!(take(&mut fabric, 0, now), [2, 4]);
    assert_eq!(take(&mut fabric, 1, now), [1, 3, 4]);
    assert_eq!(take(&mut fabric, 2, now), [1]);
}

#[test]
fn nobody_takes_the_switchs_own_address() {
    let mut fabric = fabric(2);
    let forged = frame(mac(0).0, SWITCH_MAC.0, 1);
    fabric.receive(1, &forged, Duration::ZERO);
    let asked = fabric.receive(0, &frame(SWITCH_MAC.0, mac(0).0, 2), Duration::ZERO);
    assert!(asked.for_switch && asked.wake.is_empty());
}

#[test]
fn a_partition_holds_for_what_is_on_its_way_and_ends() {
    let mut fabric = fabric(3);
    let slow = Cable {
        delay: SECOND,
        ..Cable::default()
    };
    fabric.set_cable(0, slow);
    fabric.receive(0, &broadcast(0, 1), Duration::ZERO);
    assert_eq!(fabric.next(1, Duration::ZERO), Next::At(SECOND));
    fabric.partition(&[&[0, 1], &[2]]);
    assert_eq!(take(&mut fabric, 1, SECOND), [1]);
    assert_eq!(take(&mut fabric, 2, SECOND), NONE);
    // In no group.
    fabric.partition(&[&[0, 1]]);
    assert_eq!(fabric.receive(2, &broadcast(2, 2), SECOND).wake, NONE);
    fabric.partition(&[]);
    assert_eq!(fabric.receive(1, &unicast(1, 0, 3), SECOND).wake, NONE);
    fabric.join();
    assert_eq!(fabric.receive(1, &unicast(1, 0, 4), SECOND).wake, [0]);
    assert_eq!(take(&mut fabric, 0, 3 * SECOND), [4]);
}

#[test]
fn two_parts_of_a_network_may_have_the_same_address() {
    let mut fabric = fabric(4);
    fabric.partition(&[&[0, 1], &[2, 3]]);
    let now = Duration::ZERO;
    // What two machines claim that lost sight of each other.
    let virtual_address = [2, 0, 0, 0, 0, 1];
    for machine in [1, 3] {
        fabric.receive(machine, &frame([0xff; 6], virtual_address, machine), now);
    }
    for (from, to) in [(0, 1), (2, 3)] {
        let sent = frame(virtual_address, mac(from).0, 9);
        assert_eq!(fabric.receive(from, &sent, now).wake, [to]);
    }
}

#[test]
fn cables_delay_and_lose_in_both_directions() {
    let mut fabric = fabric(2);
    fabric.set_cable(
        0,
        Cable {
            loss: 0.5,
            delay: SECOND,
        },
    );
    for tag in 0..1000 {
        fabric.receive(0, &unicast(0, 1, tag), Duration::ZERO);
        fabric.receive(1, &unicast(1, 0, tag), Duration::ZERO);
        let own = frame(SWITCH_MAC.0, mac(0).0, tag);
        if fabric.receive(0, &own, Duration::ZERO).for_switch {
            fabric.answer(0, frame(mac(0).0, SWITCH_MAC.0, 1000 + tag), Duration::ZERO);
        }
    }
    let before = SECOND - Duration::from_millis(1);
    assert_eq!(take(&mut fabric, 1, before), NONE);
    let there = take(&mut fabric, 1, SECOND).len();
    let back = take(&mut fabric, 0, SECOND);
    assert!(back.iter().all(|tag| *tag < 1000));
    // There and back again.
    let answers = take(&mut fabric, 0, 2 * SECOND).len();
    for (count, expected) in [(there, 500), (back.len(), 500), (answers, 250)] {
        assert!(count.abs_diff(expected) < 80, "{count}");
    }
    fabric.set_cable(
        0,
        Cable {
            loss: f64::NAN,
            ..Cable::default()
        },
    );
    fabric.receive(0, &unicast(0, 1, 7), SECOND);
    assert_eq!(take(&mut fabric, 1, SECOND), [7]);
}

#[test]
fn a_machine_that_is_gone_gets_nothing() {
    let mut fabric = fabric(2);
    assert!(!fabric.attach(1));
    fabric.receive(1, &unicast(1, 0, 1), Duration::ZERO);
    fabric.receive(0, &unicast(0, 1, 2), Duration::ZERO);
    fabric.detach(1);
    assert_eq!(fabric.next(1, Duration::ZERO), Next::Detached);
    assert_eq!(
        fabric.receive(1, &unicast(1, 0, 3), Duration::ZERO),
        Received::default()
    );
    assert_eq!(
        fabric.receive(0, &unicast(0, 1, 4), Duration::ZERO).wake,
        NONE
    );
    assert!(fabric.attach(1));
    assert_eq!(fabric.next(1, Duration::ZERO), Next::Nothing);
    assert_eq!(take(&mut fabric, 0, Duration::ZERO), [1]);
}

const MACHINES: u32 = 4;

#[derive(Clone, Debug)]
enum Act {
    Send { from: u32, to: Option<u32> },
    Raw { from: u32, bytes: Vec<u8> },
    Attach(u32),
    Detach(u32),
    Partition(Vec<u8>),
    Join,
    Delay(u32, u64),
    Wait(u64),
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let machine = || 0..MACHINES;
    let act = prop_oneof![
        8 => (machine(), proptest::option::of(machine())).prop_map(|(from, to)| Act::Send { from, to }),
        2 => (machine(), proptest::collection::vec(any::<u8>(), 0..64))
            .prop_map(|(from, bytes)| Act::Raw { from, bytes }),
        1 => machine().prop_map(Act::Attach),
        1 => machine().prop_map(Act::Detach),
        1 => proptest::collection::vec(0u8..3, MACHINES as usize).prop_map(Act::Partition),
        1 => Just(Act::Join),
        1 => (machine(), 0u64..500).prop_map(|(machine, delay)| Act::Delay(machine, delay)),
        2 => (0u64..400_000).prop_map(Act::Wait),
    ];
    proptest::collection::vec(act, 1..80)
}

/// A frame on its way: who sent it, who has to get it, and who may. One to a machine that the switch has not seen is for
/// everybody within reach.
#[derive(Debug)]
struct Due {
    from: u32,
    must: BTreeSet<u32>,
    may: BTreeSet<u32>,
}

/// What is asked of the network, kept apart from how the switch does it.
#[derive(Debug, Default)]
struct Model {
    attached: BTreeSet<u32>,
    /// Each machine's group; the last is that of nobody.
    groups: Option<Vec<u8>>,
    due: BTreeMap<u32, Due>,
    /// The last frame from one machine to another.
    last: BTreeMap<(u32, u32), u32>,
}

impl Model {
    fn reaches(&self, from: u32, to: u32) -> bool {
        self.groups.as_ref().is_none_or(|groups| {
            let (from, to) = (groups[from as usize], groups[to as usize]);
            from == to && from < 2
        })
    }

    fn send(&mut self, tag: u32, from: u32, to: Option<u32>) {
        let within_reach = |machine: &u32| {
            *machine != from
                && self.attached.contains(&from)
                && self.attached.contains(machine)
                && self.reaches(from, *machine)
        };
        let may: BTreeSet<u32> = (0..MACHINES).filter(within_reach).collect();
        let must = may
            .iter()
            .copied()
            .filter(|machine| to.is_none_or(|to| to == *machine));
        let must = must.collect();
        self.due.insert(tag, Due { from, must, may });
    }

    fn arrived(&mut self, tag: u32, machine: u32) -> Result<(), TestCaseError> {
        let due = self.due.get_mut(&tag).unwrap();
        prop_assert!(due.may.remove(&machine), "not for it, or twice");
        due.must.remove(&machine);
        let from = due.from;
        prop_assert!(self.reaches(from, machine), "across the partition");
        let before = self.last.insert((from, machine), tag);
        prop_assert!(before.is_none_or(|before| before < tag), "out of order");
        Ok(())
    }

    fn detach(&mut self, machine: u32) {
        self.attached.remove(&machine);
        for due in self.due.values_mut() {
            due.must.remove(&machine);
            due.may.remove(&machine);
        }
    }

    fn partition(&mut self, groups: Vec<u8>) {
        self.groups = Some(groups);
        // What is cut off on its way is lost, unless it is joined again before.
        let mut all = std::mem::take(&mut self.due);
        for due in all.values_mut() {
            due.must.retain(|machine| self.reaches(due.from, *machine));
        }
        self.due = all;
    }
}

/// Lets everybody have what there is.
fn deliver(fabric: &mut Fabric, model: &mut Model, now: Duration) -> Result<(), TestCaseError> {
    for machine in 0..MACHINES {
        while let Next::Frame(frame) = fabric.next(machine, now) {
            if frame.ethernet()[6] != RAW {
                model.arrived(tag(&frame), machine)?;
            }
        }
    }
    Ok(())
}

/// The first byte of the sources of frames that are not counted.
const RAW: u8 = 0x06;

proptest! {
    #[test]
    fn what_should_arrive_does_once_in_order_and_never_across_a_partition(acts in acts()) {
        let mut fabric = fabric(MACHINES);
        let mut model = Model { attached: (0..MACHINES).collect(), ..Model::default() };
        let mut now = Duration::ZERO;
        for (tag, act) in (0u32..).zip(acts) {
            match act {
                Act::Send { from, to } => {
                    let sent = to.map_or_else(|| broadcast(from, tag), |to| unicast(from, to, tag));
                    fabric.receive(from, &sent, now);
                    model.send(tag, from, to);
                }
                Act::Raw { from, mut bytes } => {
                    if let Some(source) = bytes.get_mut(6) {
                        *source = RAW;
                    }
                    fabric.receive(from, &Frame::new(&bytes).unwrap(), now);
                }
                Act::Attach(machine) => {
                    prop_assert_eq!(fabric.attach(machine), model.attached.insert(machine));
                }
                Act::Detach(machine) => {
                    fabric.detach(machine);
                    model.detach(machine);
                }
                Act::Partition(groups) => {
                    let of = |group| {
                        let all = 0..MACHINES;
                        all.filter(|machine| groups[*machine as usize] == group).collect::<Vec<_>>()
                    };
                    fabric.partition(&[&of(0), &of(1)]);
                    model.partition(groups);
                }
                Act::Join => {
                    fabric.join();
                    model.groups = None;
                }
                Act::Delay(machine, delay) => {
                    let delay = Duration::from_millis(delay);
                    fabric.set_cable(machine, Cable { delay, loss: 0.0 });
                }
                Act::Wait(time) => now += Duration::from_millis(time),
            }
            deliver(&mut fabric, &mut model, now)?;
        }
        now += 10 * SECOND;
        deliver(&mut fabric, &mut model, now)?;
        for (tag, due) in &model.due {
            prop_assert!(due.must.is_empty(), "{} did not arrive: {:?}", tag, due);
        }
    }
}
