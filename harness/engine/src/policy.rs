//! What follows an attempt.

use kolea_model::{OnFailure, Verdict};

use crate::RunOptions;
use crate::group::Member;

/// What follows an attempt.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Next {
    /// Another attempt on a fresh machine, at once; why.
    Again(String),
    /// Another attempt at the end of the run; why.
    Rerun(String),
    /// The last word on the test.
    Final(Verdict),
}

/// What a verdict comes to, by what a failure of the test means in this run.
pub(crate) fn soften(verdict: Verdict, on_failure: &OnFailure) -> Verdict {
    let failed = matches!(verdict, Verdict::Fail { .. } | Verdict::Timeout { .. });
    match on_failure {
        OnFailure::Warn { why } if failed => Verdict::Warn {
            reason: format!("{} (only a warning: {why})", verdict.reason()),
        },
        OnFailure::Expected { why } if failed => Verdict::XFail {
            reason: verdict.reason(),
            why: why.clone(),
        },
        OnFailure::Expected { why } if verdict == Verdict::Pass => {
            Verdict::XPass { why: why.clone() }
        }
        _ => verdict,
    }
}

/// Decides what follows an attempt with this verdict.
pub(crate) fn next(
    verdict: &Verdict,
    member: &Member,
    options: &RunOptions,
    draining: bool,
) -> Next {
    match verdict {
        Verdict::Infra { .. } if !draining && member.spoiled < options.infra_retries => {
            return Next::Again(format!(
                "the infrastructure failed: trying again on a fresh machine ({} of {})",
                member.spoiled + 1,
                options.infra_retries
            ));
        }
        Verdict::Fail { .. } | Verdict::Timeout { .. }
            if options.rerun && !draining && member.first.is_none() =>
        {
            return Next::Rerun("failed: running once more at the end".to_owned());
        }
        _ => {}
    }
    Next::Final(match (&member.first, verdict) {
        (None, verdict) => verdict.clone(),
        (Some(first), Verdict::Pass) => Verdict::Flaky {
            reason: first.reason(),
        },
        (Some(_), Verdict::Fail { .. } | Verdict::Timeout { .. }) => verdict.clone(),
        // A rerun that proves nothing leaves the failure as it is.
        (Some(first), _) => first.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outcome::{fail, infra};
    use kolea_model::InfraCause;

    fn member(spoiled: u32, first: Option<Verdict>) -> Member {
        Member {
            index: 0,
            unit: None,
            spoiled,
            first,
        }
    }

    fn options() -> RunOptions {
        RunOptions {
            infra_retries: 1,
            rerun: true,
            ..RunOptions::default()
        }
    }

    #[test]
    fn the_infrastructure_gets_its_retries_and_no_more() {
        let spoiled = infra(InfraCause::Ssh, "x");
        let after = |count, draining| next(&spoiled, &member(count, None), &options(), draining);
        assert!(matches!(after(0, false), Next::Again(_)));
        assert_eq!(after(1, false), Next::Final(spoiled.clone()));
        assert_eq!(after(0, true), Next::Final(spoiled.clone()));
    }

    #[test]
    fn a_failure_runs_again_once_and_is_flaky_if_it_passes_then() {
        let failed = fail("x");
        assert!(matches!(
            next(&failed, &member(0, None), &options(), false),
            Next::Rerun(_)
        ));
        assert_eq!(
            next(&failed, &member(0, None), &options(), true),
            Next::Final(failed.clone())
        );
        let again = |verdict| {
            next(
                &verdict,
                &member(1, Some(failed.clone())),
                &options(),
                false,
            )
        };
        assert_eq!(
            again(Verdict::Pass),
            Next::Final(Verdict::Flaky { reason: "x".into() })
        );
        assert_eq!(again(fail("y")), Next::Final(fail("y")));
        assert_eq!(
            again(infra(InfraCause::Ssh, "z")),
            Next::Final(failed.clone())
        );
    }

    #[test]
    fn what_may_fail_is_not_run_again() {
        let (reason, why) = ("x".to_owned(), "#1".to_owned());
        for verdict in [
            Verdict::Warn {
                reason: reason.clone(),
            },
            Verdict::XFail {
                reason,
                why: why.clone(),
            },
            Verdict::XPass { why },
        ] {
            let after = next(&verdict, &member(0, None), &options(), false);
            assert_eq!(after, Next::Final(verdict));
        }
    }

    #[test]
    fn what_a_failure_means_is_up_to_the_selection() {
        let warn = OnFailure::Warn { why: "new".into() };
        let expected = OnFailure::Expected { why: "#1".into() };
        assert_eq!(soften(fail("x"), &OnFailure::Fail), fail("x"));
        let softened = Verdict::Warn {
            reason: "x (only a warning: new)".into(),
        };
        assert_eq!(soften(fail("x"), &warn), softened);
        assert_eq!(soften(Verdict::Pass, &warn), Verdict::Pass);
        let xfail = Verdict::XFail {
            reason: "x".into(),
            why: "#1".into(),
        };
        assert_eq!(soften(fail("x"), &expected), xfail);
        let xpass = Verdict::XPass { why: "#1".into() };
        assert_eq!(soften(Verdict::Pass, &expected), xpass);
        let spoiled = infra(InfraCause::Ssh, "x");
        assert_eq!(soften(spoiled.clone(), &warn), spoiled);
        assert_eq!(soften(spoiled.clone(), &expected), spoiled);
    }
}
