//! Brings a machine to another version of its system before its tests (`--oscontainer`).

use std::sync::Arc;
use std::time::Duration;

use kolea_machine::MachineError;
use kolea_machine::agent::{rebase, restart};
use kolea_model::Phase;
use tokio::time::Instant;

use crate::external::REBOOT_LIMIT;
use crate::guard::{Guard, Limit, Stop};
use crate::outcome::{Outcome, fail};
use crate::session::Session;

/// How long a rebase may take, before that is scaled: gigabytes are pulled, unpacked and written.
const REBASE_LIMIT: Duration = Duration::from_secs(1800);

impl Session<'_> {
    /// Rebases the machine, which has passed its checks, and reboots it; then it has to pass them again.
    pub async fn rebase(&mut self, spec: &str, stop_on_drain: bool) -> Result<(), Outcome> {
        let began = Instant::now();
        let run = self.run;
        let machine = Arc::clone(&self.machine);

        self.enter(Phase::Rebasing, None);
        let limit = run.limit(began, REBASE_LIMIT, "the limit for rebasing a machine");
        let work = rebase(&*machine, spec);
        match self.prepare(&limit, stop_on_drain, work).await {
            Ok(Ok(())) => {}
            Ok(Err(MachineError::Guest(reason))) => return Err(failed(&reason)),
            Ok(Err(error)) => return Err(self.explain_error(error, None).await),
            Err(stop) => return Err(self.explain(stop, None).await),
        }

        self.enter(Phase::Rebooting, None);
        let limit = run.limit(Instant::now(), REBOOT_LIMIT, "the reboot limit");
        let before = self.boot.clone();
        let work = restart(&*machine, &before);
        match self.prepare(&limit, stop_on_drain, work).await {
            Ok(Ok(boot)) => self.boot = boot,
            Ok(Err(MachineError::Guest(reason))) => return Err(failed(&reason)),
            Ok(Err(error)) => return Err(self.explain_error(error, None).await),
            Err(stop) => return Err(self.explain(stop, None).await),
        }
        self.forgive_resets();

        self.rebased = true;
        self.enter(Phase::Checking, None);
        if let Some(problem) = self.check(&limit, false).await? {
            let reason = format!("not healthy after the rebase to {spec}: {problem}");
            return Err(failed(&reason));
        }
        self.prepared = began.elapsed();
        Ok(())
    }

    async fn prepare<T>(
        &self,
        limit: &Limit,
        stop_on_drain: bool,
        work: impl Future<Output = T>,
    ) -> Result<T, Stop> {
        Guard {
            watcher: Some(&self.watcher),
            machine: Some(&*self.machine),
            stop_on_drain,
            ..Guard::new(&self.run.control, limit)
        }
        .race(work)
        .await
    }
}

fn failed(reason: &str) -> Outcome {
    Outcome::broken(fail(format!("machine preparation failed: {reason}")))
}
