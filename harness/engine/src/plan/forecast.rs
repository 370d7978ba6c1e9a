//! How long a set of jobs takes: as a list schedule would have it, and at least. Pure arithmetic on seconds.

use std::cmp::{Ordering, Reverse};
use std::collections::BinaryHeap;

/// A template's making, or a group's stay on its machines.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Job {
    /// How long it takes, in seconds.
    pub seconds: f64,
    /// The job that has to end before it can begin, by its index, which is lower than its own.
    pub after: Option<usize>,
    /// Who comes first of those that can begin: the highest.
    pub priority: f64,
}

/// Seconds that can be compared.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Seconds(f64);

impl Eq for Seconds {}

impl Ord for Seconds {
    fn cmp(&self, other: &Self) -> Ordering {
        self.0.total_cmp(&other.0)
    }
}

impl PartialOrd for Seconds {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// When the last of the jobs ends if `slots` run at once and a free slot always takes the first that can begin.
pub(crate) fn makespan(jobs: &[Job], slots: usize) -> f64 {
    let mut followers: Vec<Vec<usize>> = vec![Vec::new(); jobs.len()];
    let mut ready = BinaryHeap::new();
    for (index, job) in jobs.iter().enumerate() {
        match job.after {
            Some(before) => followers[before].push(index),
            None => ready.push((Seconds(job.priority), Reverse(index))),
        }
    }
    let mut running: BinaryHeap<Reverse<(Seconds, usize)>> = BinaryHeap::new();
    let mut now = 0.0;
    loop {
        while running.len() < slots.max(1)
            && let Some((_, Reverse(index))) = ready.pop()
        {
            running.push(Reverse((Seconds(now + jobs[index].seconds), index)));
        }
        let Some(Reverse((end, index))) = running.pop() else {
            return now;
        };
        now = end.0;
        for follower in std::mem::take(&mut followers[index]) {
            ready.push((Seconds(jobs[follower].priority), Reverse(follower)));
        }
    }
}

/// What no schedule of these jobs on `slots` slots can beat: all work shared evenly, and for each job what comes before it, the
/// job itself, and all that waits for it shared evenly.
pub(crate) fn lower_bound(jobs: &[Job], slots: usize) -> f64 {
    let slots = slots.max(1) as f64;
    let mut waiting = vec![0.0; jobs.len()];
    for (index, job) in jobs.iter().enumerate().rev() {
        if let Some(before) = job.after {
            waiting[before] += job.seconds + waiting[index];
        }
    }
    let mut ends: Vec<f64> = Vec::with_capacity(jobs.len());
    let mut bound = jobs.iter().map(|job| job.seconds).sum::<f64>() / slots;
    for (index, job) in jobs.iter().enumerate() {
        let end = job.after.map_or(0.0, |before| ends[before]) + job.seconds;
        ends.push(end);
        bound = bound.max(end + waiting[index] / slots);
    }
    bound
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn job(seconds: f64, after: Option<usize>) -> Job {
        Job {
            seconds,
            after,
            priority: seconds,
        }
    }

    #[test]
    fn a_template_holds_up_its_clones_and_nobody_else() {
        let jobs = [
            Job {
                priority: 100.0,
                ..job(20.0, None)
            },
            job(2.0, Some(0)),
            job(2.0, Some(0)),
            job(30.0, None),
        ];
        assert_eq!(makespan(&jobs, 2), 30.0);
        assert_eq!(lower_bound(&jobs, 2), 30.0);
        assert_eq!(makespan(&jobs, 1), 54.0);
        assert_eq!(lower_bound(&jobs, 1), 54.0);
        assert_eq!(lower_bound(&jobs[..3], 4), 22.0);
        assert_eq!((makespan(&[], 3), lower_bound(&[], 3)), (0.0, 0.0));
    }

    fn some_jobs() -> impl Strategy<Value = Vec<Job>> {
        let one = (0.0f64..100.0, any::<bool>(), any::<usize>(), 0.0f64..10.0);
        proptest::collection::vec(one, 0..30).prop_map(|jobs| {
            jobs.into_iter()
                .enumerate()
                .map(|(index, (seconds, chained, before, priority))| Job {
                    seconds,
                    after: (chained && index > 0).then(|| before % index),
                    priority,
                })
                .collect()
        })
    }

    proptest! {
        #[test]
        fn a_list_schedule_is_never_below_the_bound_nor_above_all_in_a_row(
            jobs in some_jobs(),
            slots in 1usize..6,
        ) {
            let (span, bound) = (makespan(&jobs, slots), lower_bound(&jobs, slots));
            let sum: f64 = jobs.iter().map(|job| job.seconds).sum();
            prop_assert!(bound <= span + 1e-6, "{bound} > {span}");
            prop_assert!(span <= sum + 1e-6, "{span} > {sum}");
            if slots == 1 {
                prop_assert!((span - sum).abs() < 1e-6);
            }
        }
    }
}
