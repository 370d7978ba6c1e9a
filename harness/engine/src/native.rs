//! Runs a compiled-in test on booted machines.

use std::any::Any;
use std::sync::Arc;

use kolea_machine::{NativeTest, TestContext, TestFailure};
use kolea_model::{Phase, SkipReason, Verdict};
use tokio::task::JoinSet;

use crate::cluster::Cluster;
use crate::guard::Limit;
use crate::log::TestLog;
use crate::outcome::{Outcome, fail};

/// Runs the test in a task of its own, so that its panic is its own too. It may reboot its machines as it likes.
pub(crate) async fn run_native(
    cluster: &mut Cluster<'_>,
    native: &NativeTest,
    limit: &Limit,
) -> Outcome {
    cluster.enter(Phase::Running, native.name);
    let context = TestContext::new(Arc::clone(&cluster.lead.machine))
        .among(cluster.machines())
        .with_network(cluster.network())
        .with_profile(cluster.lead.run.distro.profile().clone());
    // Dropping the set ends the task.
    let mut task = JoinSet::new();
    let run = native.run;
    let own = context.clone();
    task.spawn(async move { run(own).await });
    let outcome = match cluster.race(limit, task.join_next()).await {
        Ok(Some(Ok(Ok(())))) => Outcome::clean(Verdict::Pass),
        Ok(Some(Ok(Err(TestFailure::Failed(reason))))) => Outcome::clean(fail(reason)),
        Ok(Some(Ok(Err(TestFailure::Skipped(message))))) => Outcome::clean(Verdict::Skip {
            reason: SkipReason::ByTest { message },
        }),
        Ok(Some(Ok(Err(TestFailure::Machine(error))))) => {
            cluster.explain_error(error, native.name).await
        }
        Ok(Some(Err(error))) => {
            let reason = match error.try_into_panic() {
                Ok(payload) => format!("the test panicked: {}", panic_text(&*payload)),
                Err(error) => format!("the test's task ended early: {error}"),
            };
            Outcome::broken(fail(reason))
        }
        Ok(None) => Outcome::broken(fail("the test's task ended early")),
        Err(stop) => cluster.explain(stop, native.name).await,
    };
    cluster.forgive_resets();
    let session = &cluster.lead;
    let output = context.output();
    let mut log = TestLog::new(session.watcher.dir(), native.name);
    if !output.is_empty()
        && let Err(error) = log.push(&output).and_then(|()| log.flush())
    {
        session.run.events.warn(format!(
            "cannot write {}: {error}; the reports have what the test printed",
            log.path().display()
        ));
    }
    Outcome {
        notes: log.text() + &outcome.notes,
        ..outcome
    }
}

fn panic_text(payload: &(dyn Any + Send)) -> String {
    payload
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| payload.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}
