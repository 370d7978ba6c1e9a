//! How much of the tests' output is kept in memory.

use kolea_model::Verdict;

use crate::words;

/// How many bytes of what tests printed a [`super::Record`] keeps; the whole is in the tests' log files.
///
/// The defaults keep a run of 1,000 tests of 64 KiB each below 12 MiB, and the reports made of it below 60 MiB.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// For an attempt that did nothing wrong.
    pub good: usize,
    /// For an attempt that failed in any way, as was expected or not.
    pub bad: usize,
    /// For all attempts together; past it, each gets `late` bytes.
    pub total: usize,
    /// For an attempt after `total` is used up.
    pub late: usize,
}

impl Limits {
    /// Keep no output at all, only verdicts.
    pub const NOTHING: Limits = Limits {
        good: 0,
        bad: 0,
        total: 0,
        late: 0,
    };

    /// What an attempt may keep when `kept` bytes are in use.
    pub(super) fn of(&self, verdict: &Verdict, kept: usize) -> usize {
        let own = if words::has_failed(verdict) {
            self.bad
        } else {
            self.good
        };
        if kept >= self.total {
            own.min(self.late)
        } else {
            own
        }
    }
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            good: 8 << 10,
            bad: 64 << 10,
            total: 8 << 20,
            late: 4 << 10,
        }
    }
}
