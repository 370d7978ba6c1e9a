//! What the engine is given.

use std::collections::BTreeMap;
use std::fmt::Debug;
use std::path::PathBuf;
use std::sync::Arc;

use async_trait::async_trait;
use kolea_machine::NativeTest;
use kolea_machine::SshLogin;
use kolea_machine::profile::Profile;
use kolea_model::{RunInfo, TestCase, UserConfig};

/// A test, and for a compiled-in one its code.
#[derive(Clone, Debug)]
pub struct Case {
    /// What the test is.
    pub test: TestCase,
    /// Its code, if it is compiled in.
    pub native: Option<NativeTest>,
}

/// What earlier runs of such images took, in seconds. May be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Expected {
    /// The tests themselves, from a machine that is ready to the verdict, by name.
    pub tests: BTreeMap<String, f64>,
    /// A machine from its order to ready, by booting.
    pub boot: Option<f64>,
    /// A machine from its order to ready, as a clone.
    pub clone: Option<f64>,
}

/// Opens an interactive shell on the machine of a failed test.
#[async_trait]
pub trait FailureShell: Debug + Send + Sync {
    /// Opens it, and waits until the person leaves it. The engine opens one at a time, and drops the future if the machine ends or
    /// the user wants everything to stop.
    async fn open(&self, test: &str, reason: &str, login: &SshLogin);
}

/// Which tests share machines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Buckets {
    /// Those that are not exclusive, as in kola.
    Always,
    /// Those that are not exclusive, where that is faster than a clone for each.
    #[default]
    Auto,
    /// None.
    Never,
}

/// How to run.
#[derive(Clone, Debug, Default)]
pub struct RunOptions {
    /// How many machines may run at once; at least one.
    pub jobs: usize,
    /// Whether tests that failed or timed out run once more at the end, each on a machine of its own.
    pub rerun: bool,
    /// How often a test is tried again, on a fresh machine, after a failure of the infrastructure.
    pub infra_retries: u32,
    /// Memory for all machines together, in MiB; what the host has available at the start if none.
    pub memory_budget_mib: Option<u64>,
    /// Where artefacts go: a directory that exists.
    pub output_dir: PathBuf,
    /// The facts about the distribution that is tested.
    pub profile: Profile,
    /// What every time limit is multiplied with; what the platform asks for if none.
    pub timeout_factor: Option<f64>,
    /// By how many percent every time limit is lengthened beyond that.
    pub extend_timeouts_percent: u32,
    /// Facts for the reports: version, command and distribution. The engine adds what it knows from the platform.
    pub info: RunInfo,
    /// What earlier runs took; for the longest to be first.
    pub expected: Expected,
    /// Whether machines may be clones of a template.
    pub templates: bool,
    /// Whether templates are left for later runs.
    pub keep_templates: bool,
    /// How many percent of the tests that ran in clones run once more on machines that boot, for comparison.
    pub verify_templates_percent: u8,
    /// Which tests share machines.
    pub buckets: Buckets,
    /// Configs that every machine's own is merged with, before the tests' (`--append-ignition`, `--append-butane`).
    pub append: Vec<UserConfig>,
    /// The image's ostree container, for tests that ask for it (`injectContainer`). Without it such a test finds neither the file
    /// nor its name.
    pub container: Option<PathBuf>,
    /// What every machine is rebased to before its tests: a pull spec, or a `*.ociarchive` file (`--oscontainer`).
    pub oscontainer: Option<String>,
    /// Whether the distribution is told by the first machine's os-release. Of `profile` only the user counts then, and what the
    /// platform makes of it.
    pub detect_distro: bool,
    /// What lets a person look at the machine of a failed test (`--ssh-on-test-failure`).
    pub failure_shell: Option<Arc<dyn FailureShell>>,
    /// Whether a run in which only tests failed that may fail ends with 77.
    pub warn_exit_77: bool,
    /// Whether what the console and journal rules find counts. If not, findings are warnings.
    pub console_rules: bool,
}

impl RunOptions {
    /// Whether templates are left for later runs. What a machine is rebased to may be something else by then.
    pub(crate) fn keeps_templates(&self) -> bool {
        self.keep_templates && self.oscontainer.is_none()
    }

    /// Where the guest has the image's ostree container, if there is one.
    pub(crate) fn container_in_guest(&self) -> Option<String> {
        let name = self.container.as_ref()?.file_name()?;
        let home = self.profile.home();
        Some(format!("{home}/{}", name.to_string_lossy()))
    }
}
