//! What is remembered while a run goes on.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use kolea_model::{SkipReason, Verdict};

use crate::plan::forecast::Job;
use crate::template::Frozen;

#[derive(Debug, Default)]
struct State {
    templates: BTreeMap<usize, Arc<Frozen>>,
    in_clones: BTreeMap<usize, Verdict>,
    jobs: Vec<Job>,
}

/// Templates, what came of tests in clones, and what has run.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<State>);

impl Notes {
    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The template of an order, by the order's index, is there.
    pub fn add_template(&self, order: usize, frozen: Arc<Frozen>) {
        self.state().templates.insert(order, frozen);
    }

    /// The template of an order, if it is there.
    pub fn template(&self, order: usize) -> Option<Arc<Frozen>> {
        self.state().templates.get(&order).cloned()
    }

    /// A test, by its index, has come to something in a clone. What the infrastructure spoiled is nothing, and so is a test that
    /// did not run.
    pub fn ended_in_clone(&self, index: usize, verdict: &Verdict) {
        let nothing = matches!(
            verdict,
            Verdict::Infra { .. }
                | Verdict::Lost { .. }
                | Verdict::Skip {
                    reason: SkipReason::NotApplicable { .. }
                }
        );
        if !nothing {
            self.state().in_clones.insert(index, verdict.clone());
        }
    }

    /// The last that each test came to in a clone.
    pub fn take_in_clones(&self) -> BTreeMap<usize, Verdict> {
        std::mem::take(&mut self.state().in_clones)
    }

    /// Something has run so long, in seconds, after another of those. Returns its place among them.
    pub fn add_job(&self, seconds: f64, after: Option<usize>) -> usize {
        let jobs = &mut self.state().jobs;
        jobs.push(Job {
            seconds,
            after,
            priority: 0.0,
        });
        jobs.len() - 1
    }

    /// Everything that has run, in the order in which it ended.
    pub fn take_jobs(&self) -> Vec<Job> {
        std::mem::take(&mut self.state().jobs)
    }
}
