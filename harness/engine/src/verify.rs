//! Runs tests that ran in clones once more, on machines that boot: both have to come to the same.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::Duration;

use kolea_model::{EventKind, Verdict};
use tokio::time::Instant;

use crate::group::Group;
use crate::outcome::fail;
use crate::policy::soften;
use crate::ride::ride_alone;
use crate::run::Run;

/// Draws so many percent of the tests, at least one if there are any. The seed alone decides which.
pub(crate) fn sample(
    tests: BTreeMap<usize, Verdict>,
    percent: u8,
    seed: u64,
) -> Vec<(usize, Verdict)> {
    let count = (tests.len() * usize::from(percent.min(100))).div_ceil(100);
    let lot = |index: usize| {
        let mut hasher = DefaultHasher::new();
        (seed, index).hash(&mut hasher);
        hasher.finish()
    };
    let mut drawn: Vec<_> = tests.into_iter().collect();
    drawn.sort_by_key(|(index, _)| lot(*index));
    drawn.truncate(count);
    drawn.sort_by_key(|(index, _)| *index);
    drawn
}

/// Runs the only test of the group on a machine that boots, and compares. Returns how long that took, in seconds, without what
/// it waited for the host.
pub(crate) async fn run_verification(run: &Run, group: &Group, in_clone: &Verdict) -> f64 {
    let started = Instant::now();
    let mut waited = Duration::ZERO;
    run.events.send(EventKind::GroupStarted {
        group: group.name.clone(),
        shared: false,
    });
    let mut booted = run.not_started();
    let member = &group.members[0];
    for _ in 0..=run.options.infra_retries {
        let began = Instant::now();
        let busy = run.processors(&group.spec, group.machines).await;
        waited += began.elapsed();
        let Some(busy) = busy else {
            break;
        };
        let ride = ride_alone(run, group, member, &group.start, busy, true).await;
        booted = ride.end.verdict;
        if !matches!(booted, Verdict::Infra { .. }) || run.control.is_draining() {
            break;
        }
    }
    let name = &run.test(member).name;
    let mut verdict = Verdict::Pass;
    if matches!(booted, Verdict::Infra { .. } | Verdict::Lost { .. }) {
        run.events.warn(format!(
            "{name} could not be run once more on a machine that boots, to verify its template: {booted}"
        ));
    } else {
        let same = in_clone.word() == booted.word();
        if !same {
            // A test that may fail may also depend on that.
            let difference = fail(format!(
                "{name} depends on its machine being a clone: {in_clone} in the clone, {booted} on a machine that booted"
            ));
            verdict = soften(difference, &run.test(member).on_failure);
        }
        run.events.send(EventKind::TemplateVerified {
            test: name.clone(),
            in_clone: in_clone.clone(),
            booted,
            same,
        });
    }
    let seconds = started.elapsed();
    run.ledger
        .finish_group(&group.name, seconds.as_secs_f64(), verdict);
    seconds.saturating_sub(waited).as_secs_f64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sample_is_a_part_never_nothing_and_depends_on_the_seed() {
        let tests = |count| (0..count).map(|index| (index, Verdict::Pass)).collect();
        let drawn = |count, percent, seed| -> Vec<usize> {
            let sample = sample(tests(count), percent, seed);
            sample.into_iter().map(|(index, _)| index).collect()
        };
        assert_eq!(drawn(3, 100, 1), [0, 1, 2]);
        assert_eq!(drawn(3, 1, 1).len(), 1);
        assert_eq!(drawn(40, 10, 1).len(), 4);
        assert_eq!(drawn(40, 0, 1).len() + drawn(0, 50, 1).len(), 0);
        assert_eq!(drawn(40, 10, 7), drawn(40, 10, 7));
        assert_ne!(drawn(40, 10, 7), drawn(40, 10, 8));
    }
}
