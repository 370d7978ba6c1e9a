//! Templates, their clones, and how both compare.

use std::collections::BTreeSet;

use kolea_model::{Origin, Verdict};

use super::{MachineRecord, Record, TestRecord};

/// A template that machines of the run were, or were to be, clones of.
#[derive(Clone, Debug, PartialEq)]
pub struct TemplateRecord {
    /// Its name: that of the group that makes it.
    pub name: String,
    /// What became of it.
    pub state: TemplateState,
}

/// What became of a template.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum TemplateState {
    /// Nothing yet: it was planned, and what became of it was not recorded.
    #[default]
    Planned,
    /// This run made it.
    Made {
        /// From the start of its group until it could be cloned, in seconds.
        seconds: f64,
        /// How much of that was saving it, in seconds.
        save_seconds: f64,
        /// What it occupies on the disk, in MiB.
        disk_mib: u64,
    },
    /// An earlier run left it.
    Cached,
    /// It was not to be had, for this reason.
    Failed(String),
}

/// A test that ran in a clone, and once more on a machine that booted.
#[derive(Clone, Debug, PartialEq)]
pub struct VerifiedRecord {
    /// The test.
    pub test: String,
    /// What came of it in the clone.
    pub in_clone: Verdict,
    /// What came of it on the machine that booted.
    pub booted: Verdict,
    /// Whether both are of the same kind.
    pub same: bool,
}

/// What the tests that ran, by their last attempts, ran on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Origins {
    /// Tests that ran in clones.
    pub in_clones: usize,
    /// Different templates of these clones.
    pub templates: usize,
    /// Tests that ran on machines that booted.
    pub booted: usize,
}

impl Record {
    /// What the tests ran on.
    pub(crate) fn origins(&self) -> Origins {
        let mut origins = Origins::default();
        let mut templates = BTreeSet::new();
        for test in &self.tests {
            match self.last_machine(test).map(|machine| &machine.origin) {
                Some(Origin::Clone { template, .. }) => {
                    origins.in_clones += 1;
                    templates.insert(template);
                }
                Some(Origin::Boot { .. }) => origins.booted += 1,
                None => {}
            }
        }
        origins.templates = templates.len();
        origins
    }

    /// The machine of a test's last attempt, or the first of several.
    fn last_machine(&self, test: &TestRecord) -> Option<&MachineRecord> {
        self.machine(test.attempts.last()?.machines.first()?)
    }
}
