//! Longest expected first: what starts last should be short, or every slot but one is idle at the end.

use std::collections::BTreeMap;
use std::time::Duration;

/// What a test with a machine of its own is taken to need when nothing is known, in seconds: mostly its boot.
const UNKNOWN_EXCLUSIVE: f64 = 60.0;
/// What a test on a booted machine is taken to need, in seconds.
const UNKNOWN_MEMBER: f64 = 5.0;
/// A long time limit hints at a long test, but most authors are generous.
const LIMIT_WEIGHT: f64 = 0.01;

/// How long a group is expected to take, in seconds. `tests` are its tests' names and time limits, `expected` what
/// earlier runs took.
pub fn expected_seconds<'a>(
    shared: bool,
    tests: impl Iterator<Item = (&'a str, Duration)>,
    expected: &BTreeMap<String, f64>,
) -> f64 {
    let boot = if shared { UNKNOWN_EXCLUSIVE } else { 0.0 };
    tests
        .map(|(name, limit)| match expected.get(name) {
            Some(seconds) if seconds.is_finite() => seconds.max(0.0),
            _ if shared => UNKNOWN_MEMBER,
            _ => UNKNOWN_EXCLUSIVE + limit.as_secs_f64() * LIMIT_WEIGHT,
        })
        .sum::<f64>()
        + boot
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_known_counts_and_the_limit_is_only_a_hint() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        let expected = BTreeMap::from([("slow".to_owned(), 300.0), ("odd".to_owned(), f64::NAN)]);
        let one = |name, limit| expected_seconds(false, [(name, limit)].into_iter(), &expected);
        assert!(one("slow", minutes(1)) > one("unknown", minutes(60)));
        assert!(one("unknown", minutes(60)) > one("unknown", minutes(10)));
        assert!(one("odd", minutes(1)) > 0.0);
        let bucket = |count: usize| {
            expected_seconds(
                true,
                std::iter::repeat_n(("x", minutes(1)), count),
                &expected,
            )
        };
        assert!(bucket(65) > bucket(2));
        assert!(bucket(65) > one("unknown", minutes(10)));
    }
}
