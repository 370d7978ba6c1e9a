//! Lets a person look at the machine of a failed test (`--ssh-on-test-failure`).

use std::time::Duration;

use kolea_model::{OnFailure, Verdict};
use tokio::time::Instant;

use crate::session::Session;

/// Opens a shell on the machine if something failed on it that was not to, the user wants to see that, and it still answers. Returns
/// how long that took, with the wait for one's turn; no time limit runs meanwhile. Afterwards nobody knows what state the
/// machine is in.
///
/// Every attempt that fails is shown: whoever looks wants to see the failure, not what comes of a rerun.
pub(crate) async fn show(
    session: &Session<'_>,
    name: &str,
    verdict: &Verdict,
    on_failure: &OnFailure,
) -> Option<Duration> {
    let run = session.run;
    let shell = run.options.failure_shell.as_ref()?;
    let failed = matches!(verdict, Verdict::Fail { .. } | Verdict::Timeout { .. });
    let expected = matches!(on_failure, OnFailure::Expected { .. });
    if !failed || expected || session.quiet || !session.answers() {
        return None;
    }
    let login = session.machine.ssh_login()?;
    let began = Instant::now();
    let look = async {
        let _turn = tokio::select! {
            biased;
            () = run.control.draining() => return,
            turn = run.shell_turn.lock() => turn,
        };
        shell.open(name, &verdict.reason(), &login).await;
    };
    tokio::select! {
        biased;
        () = run.control.killed() => {}
        _ = session.machine.down() => {}
        () = look => {}
    }
    Some(began.elapsed())
}
