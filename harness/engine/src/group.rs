//! Tests that go to one machine, or to a succession of machines.

use std::path::PathBuf;

use kolea_machine::agent::TestUnit;
use kolea_model::{MachineSpec, Verdict};

use crate::launch::Start;

/// A test of a group.
#[derive(Clone, Debug)]
pub(crate) struct Member {
    /// Its index in the cases.
    pub index: usize,
    /// Its unit, if it is an external test.
    pub unit: Option<TestUnit>,
    /// How many of its attempts the infrastructure has spoiled.
    pub spoiled: u32,
    /// What came of it the first time, if this is a rerun.
    pub first: Option<Verdict>,
}

/// Tests that go to one machine, or to a succession of machines.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    /// Its name.
    pub name: String,
    /// Where its machines' directories go.
    pub dir: PathBuf,
    /// Whether the machine is shared.
    pub shared: bool,
    /// The tests in order.
    pub members: Vec<Member>,
    /// What its machines are made of.
    pub spec: MachineSpec,
    /// How many machines it has at the same time.
    pub machines: u32,
    /// Where its machines' state comes from.
    pub start: Start,
    /// Who starts first: the highest.
    pub priority: f64,
}
