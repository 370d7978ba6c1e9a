//! A part of a suite: `--sharding hash:m/n`.

/// Part `index` of `count`, by the hash of the tests' names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Which part, counted from 1.
    pub index: u64,
    /// How many parts there are.
    pub count: u64,
}
