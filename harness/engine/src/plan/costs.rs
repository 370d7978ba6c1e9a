//! What machines and tests are expected to take. What starts last should be short, or every slot but one is idle at the end.

use kolea_model::TestCase;

use crate::Expected;

/// What a machine is taken to need until it is ready when nothing is known, in seconds. It is several times as much on an
/// emulated machine, and so is everything below: what counts is how they compare.
const UNKNOWN_BOOT: f64 = 20.0;
/// The same for a clone.
const UNKNOWN_CLONE: f64 = 2.0;
/// What a test is taken to need on a machine that is ready, in seconds.
const UNKNOWN_TEST: f64 = 5.0;
/// A long time limit hints at a long test, but most authors are generous.
const LIMIT_WEIGHT: f64 = 0.01;

/// A number of seconds, and whether it was measured.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Cost {
    pub seconds: f64,
    pub known: bool,
}

impl Cost {
    /// Nothing, which is always known.
    pub const NOTHING: Cost = Cost {
        seconds: 0.0,
        known: true,
    };

    fn new(measured: Option<f64>, guess: f64) -> Self {
        let measured = measured.filter(|seconds| seconds.is_finite() && *seconds >= 0.0);
        Cost {
            seconds: measured.unwrap_or(guess),
            known: measured.is_some(),
        }
    }

    /// Both, one after the other.
    pub fn and(self, other: Cost) -> Cost {
        Cost {
            seconds: self.seconds + other.seconds,
            known: self.known && other.known,
        }
    }
}

/// A machine until it is ready.
pub(crate) fn start(clone: bool, expected: &Expected) -> Cost {
    if clone {
        Cost::new(expected.clone, UNKNOWN_CLONE)
    } else {
        Cost::new(expected.boot, UNKNOWN_BOOT)
    }
}

/// A test on a machine that is ready.
pub(crate) fn own(test: &TestCase, expected: &Expected) -> Cost {
    let guess = UNKNOWN_TEST + test.time_limit().as_secs_f64() * LIMIT_WEIGHT;
    Cost::new(expected.tests.get(&test.name).copied(), guess)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use kolea_model::TestSource;

    use super::*;

    #[test]
    fn what_is_known_counts_and_the_limit_is_only_a_hint() {
        let expected = Expected {
            tests: BTreeMap::from([("slow".to_owned(), 300.0), ("odd".to_owned(), f64::NAN)]),
            boot: Some(-1.0),
            clone: Some(0.5),
        };
        let cost = |name: &str, minutes: u64| {
            let mut test = TestCase::new(name, TestSource::Native);
            test.timeout = Some(Duration::from_secs(60 * minutes));
            own(&test, &expected)
        };
        assert!(cost("slow", 1).seconds > cost("unknown", 60).seconds);
        assert!(cost("unknown", 60).seconds > cost("unknown", 10).seconds);
        assert!(cost("slow", 1).known && !cost("unknown", 1).known && !cost("odd", 1).known);
        assert_eq!(start(false, &expected), Cost::new(None, UNKNOWN_BOOT));
        assert_eq!(start(true, &expected).seconds, 0.5);
        let both = cost("slow", 1).and(cost("unknown", 1));
        assert!(!both.known && both.seconds > 300.0);
    }
}
