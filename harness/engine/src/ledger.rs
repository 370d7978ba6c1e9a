//! The books: which attempts at which tests are open, and what came of each test. Every event about an attempt is
//! sent from here, so that none is ever left open and every planned test ends exactly once.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kolea_model::{EventKind, ExitCode, Plan, Verdict};
use tokio::time::Instant;

use crate::EventSender;

#[derive(Debug, Default)]
struct Account {
    group: String,
    attempts: u32,
    open_since: Option<Instant>,
    seconds: f64,
    verdict: Option<Verdict>,
}

/// What came of an attempt.
#[derive(Debug)]
pub(crate) struct AttemptEnd {
    pub verdict: Verdict,
    pub output: String,
    pub artifacts: BTreeMap<String, PathBuf>,
    /// How long it took in seconds; until now if none.
    pub seconds: Option<f64>,
    /// How much of that was the test itself, on a machine that was ready; all of it if none.
    pub own_seconds: Option<f64>,
}

impl From<Verdict> for AttemptEnd {
    fn from(verdict: Verdict) -> Self {
        AttemptEnd {
            verdict,
            output: String::new(),
            artifacts: BTreeMap::new(),
            seconds: None,
            own_seconds: None,
        }
    }
}

/// The accounts of all planned tests.
#[derive(Debug)]
pub(crate) struct Ledger {
    events: EventSender,
    accounts: Mutex<BTreeMap<String, Account>>,
    groups: Mutex<Vec<Verdict>>,
    interrupted: AtomicBool,
}

impl Ledger {
    /// Opens an account for every planned test.
    pub fn new(plan: &Plan, events: EventSender) -> Self {
        let accounts = plan.groups.iter().flat_map(|group| {
            group.tests.iter().map(|test| {
                let account = Account {
                    group: group.name.clone(),
                    ..Account::default()
                };
                (test.clone(), account)
            })
        });
        Ledger {
            accounts: Mutex::new(accounts.collect()),
            groups: Mutex::default(),
            interrupted: AtomicBool::new(false),
            events,
        }
    }

    fn accounts(&self) -> MutexGuard<'_, BTreeMap<String, Account>> {
        self.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// An attempt at a test begins, in a group.
    pub fn start(&self, test: &str, group: &str) {
        let mut accounts = self.accounts();
        let Some(account) = accounts.get_mut(test) else {
            return;
        };
        account.attempts += 1;
        account.open_since = Some(Instant::now());
        group.clone_into(&mut account.group);
        self.events.send(EventKind::TestStarted {
            test: test.to_owned(),
            group: group.to_owned(),
            attempt: account.attempts,
        });
    }

    /// The open attempt at a test ends. `retry` says why another follows, if one does.
    pub fn end(&self, test: &str, end: AttemptEnd, retry: Option<String>) {
        if let Some(account) = self.accounts().get_mut(test) {
            Self::close(&self.events, test, account, end, retry);
        }
    }

    fn close(
        events: &EventSender,
        test: &str,
        account: &mut Account,
        end: AttemptEnd,
        retry: Option<String>,
    ) {
        let Some(since) = account.open_since.take() else {
            return;
        };
        let seconds = end.seconds.unwrap_or_else(|| since.elapsed().as_secs_f64());
        account.seconds += seconds;
        events.send(EventKind::AttemptFinished {
            test: test.to_owned(),
            group: account.group.clone(),
            attempt: account.attempts,
            verdict: end.verdict,
            seconds,
            own_seconds: end.own_seconds.unwrap_or(seconds),
            output: end.output,
            artifacts: end.artifacts,
            retry,
        });
    }

    /// The last word on a test. An attempt that is still open ends with it.
    pub fn finish(&self, test: &str, verdict: Verdict) {
        if let Some(account) = self.accounts().get_mut(test) {
            Self::settle(&self.events, test, account, verdict);
        }
    }

    fn settle(events: &EventSender, test: &str, account: &mut Account, verdict: Verdict) {
        if account.verdict.is_some() {
            return;
        }
        if account.open_since.is_some() {
            Self::close(events, test, account, verdict.clone().into(), None);
        }
        events.send(EventKind::TestFinished {
            test: test.to_owned(),
            group: account.group.clone(),
            verdict: verdict.clone(),
            seconds: account.seconds,
        });
        account.verdict = Some(verdict);
    }

    /// Ends every test of `tests` that has no last word yet.
    pub fn finish_rest<'a>(&self, tests: impl Iterator<Item = &'a str>, verdict: &Verdict) {
        let mut accounts = self.accounts();
        for test in tests {
            if let Some(account) = accounts.get_mut(test) {
                Self::settle(&self.events, test, account, verdict.clone());
            }
        }
    }

    /// Ends every test that has no last word yet.
    pub fn close_all(&self, verdict: &Verdict) {
        for (test, account) in self.accounts().iter_mut() {
            Self::settle(&self.events, test, account, verdict.clone());
        }
    }

    /// A group is done. What no test of it could be blamed for counts like a test's verdict.
    pub fn finish_group(&self, group: &str, seconds: f64, verdict: Verdict) {
        self.events.send(EventKind::GroupFinished {
            group: group.to_owned(),
            seconds,
            verdict: verdict.clone(),
        });
        self.groups
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .push(verdict);
    }

    /// The user wants the run to end. It is said once.
    pub fn announce_interruption(&self, signal: &str) {
        if !self.interrupted.swap(true, Ordering::Relaxed) {
            self.events.send(EventKind::Interrupted {
                signal: signal.to_owned(),
            });
        }
    }

    /// The exit code that the verdicts make, or the interruption if one was announced: one that comes when all is over
    /// changes nothing.
    pub fn exit_code(&self, warn_exit_77: bool) -> ExitCode {
        if self.interrupted.load(Ordering::Relaxed) {
            return ExitCode::Interrupted;
        }
        let accounts = self.accounts();
        let groups = self.groups.lock().unwrap_or_else(PoisonError::into_inner);
        let verdicts = || {
            let tests = accounts
                .values()
                .filter_map(|account| account.verdict.as_ref());
            tests.chain(groups.iter())
        };
        let bad = |verdict: &Verdict| match verdict {
            Verdict::Fail { .. } | Verdict::Timeout { .. } => 3,
            Verdict::Infra { .. } | Verdict::Lost { .. } => 2,
            Verdict::Warn { .. } => 1,
            Verdict::Pass
            | Verdict::Flaky { .. }
            | Verdict::XFail { .. }
            | Verdict::XPass { .. }
            | Verdict::Skip { .. } => 0,
        };
        match verdicts().map(bad).max() {
            Some(3) => ExitCode::Fail,
            Some(2) => ExitCode::Infra,
            Some(1) if warn_exit_77 => ExitCode::WarnOnly,
            _ => ExitCode::Pass,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{fail, infra};
    use kolea_model::{InfraCause, Phase, PlannedGroup, SkipReason};

    fn ledger() -> (
        Ledger,
        tokio::sync::mpsc::UnboundedReceiver<kolea_model::Event>,
    ) {
        let (events, received) = EventSender::channel();
        let plan = Plan {
            groups: vec![PlannedGroup {
                name: "g".into(),
                tests: vec!["a".into(), "b".into()],
                shared: true,
            }],
            ..Plan::default()
        };
        (Ledger::new(&plan, events), received)
    }

    #[tokio::test]
    async fn a_test_ends_once_and_its_open_attempt_with_it() {
        let (ledger, mut received) = ledger();
        ledger.start("a", "g");
        ledger.finish("a", fail("x"));
        ledger.finish("a", Verdict::Pass);
        ledger.close_all(&Verdict::Pass);
        let mut seen = Vec::new();
        while let Ok(event) = received.try_recv() {
            seen.push(match event.kind {
                EventKind::TestStarted { test, .. } => format!("start {test}"),
                EventKind::AttemptFinished { test, verdict, .. } => format!("end {test} {verdict}"),
                EventKind::TestFinished { test, verdict, .. } => format!("last {test} {verdict}"),
                other => format!("{other:?}"),
            });
        }
        assert_eq!(
            seen,
            ["start a", "end a fail: x", "last a fail: x", "last b pass"]
        );
    }

    #[tokio::test]
    async fn every_mixture_has_one_exit_code() {
        let harmless = [
            Verdict::Pass,
            Verdict::Flaky { reason: "f".into() },
            Verdict::XFail {
                reason: "x".into(),
                why: "#1".into(),
            },
            Verdict::XPass { why: "#1".into() },
            Verdict::Skip {
                reason: SkipReason::ByTest {
                    message: "m".into(),
                },
            },
        ];
        let warn = [Verdict::Warn { reason: "w".into() }];
        let infra = [
            infra(InfraCause::Boot, "i"),
            Verdict::Lost { reason: "l".into() },
        ];
        let failed = [
            fail("f"),
            Verdict::Timeout {
                phase: Phase::Running,
                reason: "t".into(),
            },
        ];
        // From harmless to bad: the worse of two makes the code, whichever of them it is.
        let classes: [(&[Verdict], ExitCode, ExitCode); 4] = [
            (&harmless, ExitCode::Pass, ExitCode::Pass),
            (&warn, ExitCode::Pass, ExitCode::WarnOnly),
            (&infra, ExitCode::Infra, ExitCode::Infra),
            (&failed, ExitCode::Fail, ExitCode::Fail),
        ];
        for (one, (firsts, ..)) in classes.iter().enumerate() {
            for (other, (seconds, ..)) in classes.iter().enumerate() {
                for (first, second) in firsts
                    .iter()
                    .flat_map(|first| seconds.iter().map(move |second| (first, second)))
                {
                    let (ledger, _received) = ledger();
                    ledger.finish("a", first.clone());
                    ledger.finish("b", second.clone());
                    let (_, plain, exit_77) = classes[one.max(other)];
                    assert_eq!(ledger.exit_code(false), plain, "{first} {second}");
                    assert_eq!(ledger.exit_code(true), exit_77, "{first} {second}");
                }
            }
        }
    }

    #[tokio::test]
    async fn the_worst_verdict_makes_the_exit_code() {
        let warn = Verdict::Warn { reason: "w".into() };
        for (verdict, group, interrupted, code) in [
            (Verdict::Pass, Verdict::Pass, false, ExitCode::Pass),
            (warn.clone(), Verdict::Pass, false, ExitCode::WarnOnly),
            (
                infra(InfraCause::Ssh, "i"),
                Verdict::Pass,
                false,
                ExitCode::Infra,
            ),
            (warn, fail("of the group"), false, ExitCode::Fail),
            (Verdict::Pass, Verdict::Pass, true, ExitCode::Interrupted),
        ] {
            let (ledger, _received) = ledger();
            ledger.finish("a", verdict);
            ledger.finish("b", Verdict::Pass);
            ledger.finish_group("g", 0.0, group);
            if interrupted {
                ledger.announce_interruption("SIGINT");
            }
            assert_eq!(ledger.exit_code(true), code);
        }
    }
}
