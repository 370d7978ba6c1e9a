//! From what happened to a verdict.

use kolea_machine::{Down, MachineError};
use kolea_model::{Finding, InfraCause, Phase, SkipReason, Verdict};

/// What came of a test on a machine.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Outcome {
    /// The verdict.
    pub verdict: Verdict,
    /// Whether the machine may be used for another test.
    pub trusted: bool,
    /// What belongs to the output besides what the test printed, such as the unit's status.
    pub notes: String,
}

impl Outcome {
    /// An outcome after which the machine is as good as before.
    pub fn clean(verdict: Verdict) -> Self {
        Outcome {
            verdict,
            trusted: true,
            notes: String::new(),
        }
    }

    /// An outcome after which nobody knows what state the machine is in.
    pub fn broken(verdict: Verdict) -> Self {
        Outcome {
            verdict,
            trusted: false,
            notes: String::new(),
        }
    }
}

impl Outcome {
    /// The same, if it is that of one of several machines: says which.
    pub fn of(self, machine: Option<&str>) -> Self {
        let Some(name) = machine else {
            return self;
        };
        let named = |reason: String| format!("{name}: {reason}");
        let verdict = match self.verdict {
            Verdict::Fail { reason } => Verdict::Fail {
                reason: named(reason),
            },
            Verdict::Infra { cause, reason } => Verdict::Infra {
                cause,
                reason: named(reason),
            },
            Verdict::Timeout { phase, reason } => Verdict::Timeout {
                phase,
                reason: named(reason),
            },
            other => other,
        };
        Outcome { verdict, ..self }
    }
}

/// A failure with this reason, in one line.
pub(crate) fn fail(reason: impl AsRef<str>) -> Verdict {
    Verdict::Fail {
        reason: one_line(reason.as_ref()),
    }
}

/// A failure of the infrastructure with this reason, in one line.
pub(crate) fn infra(cause: InfraCause, reason: impl AsRef<str>) -> Verdict {
    Verdict::Infra {
        cause,
        reason: one_line(reason.as_ref()),
    }
}

fn one_line(text: &str) -> String {
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default().to_owned();
    lines.fold(first, |all, line| all + "; " + line)
}

/// What a machine that can't go on means for a test.
pub(crate) fn verdict_of_down(down: &Down, phase: Phase) -> Verdict {
    match down.kind.cause() {
        Some(cause) => infra(cause, format!("{} (while {phase})", down.message)),
        None => fail(format!(
            "the machine powered itself off while {phase}: {}",
            down.message
        )),
    }
}

/// What an error of the machine means for a test.
pub(crate) fn verdict_of_error(error: &MachineError, phase: Phase) -> Verdict {
    let cause = match error {
        MachineError::Down(down) => return verdict_of_down(down, phase),
        MachineError::Guest(message) => return fail(message),
        MachineError::Launch(_) => InfraCause::Launch,
        MachineError::DiskFull(_) => InfraCause::DiskFull,
        MachineError::Ssh(_) if phase == Phase::Booting => InfraCause::Boot,
        MachineError::Ssh(_) => InfraCause::Ssh,
        MachineError::Harness(_) => InfraCause::Harness,
    };
    infra(cause, format!("{error} (while {phase})"))
}

/// What findings say in one line; `None` if there are none.
pub(crate) fn findings_reason(findings: &[Finding]) -> Option<String> {
    let first = findings.first()?;
    let more = match findings.len() - 1 {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    Some(format!("{}{more}", finding_reason(first)))
}

/// What one finding says in one line.
pub(crate) fn finding_reason(finding: &Finding) -> String {
    // The rule's name often has the telling part of the line already.
    format!("{}: {}", finding.rule, finding.line)
}

/// Whether a fault of the machine makes it a failure. A test that was not to run on it at all has nothing to do with that.
fn is_open_to_blame(verdict: &Verdict) -> bool {
    match verdict {
        Verdict::Skip { reason } => !matches!(reason, SkipReason::NotApplicable { .. }),
        other => *other == Verdict::Pass,
    }
}

/// The verdict of a test on whose machine something was found: whoever would have passed fails.
pub(crate) fn with_findings(verdict: Verdict, findings: &[Finding]) -> Verdict {
    match findings_reason(findings) {
        Some(reason) if is_open_to_blame(&verdict) => fail(reason),
        _ => verdict,
    }
}

/// The verdict of a test whose machine is a clone of a template during whose boot something was found.
pub(crate) fn with_template(verdict: Verdict, template: &str, findings: &[Finding]) -> Verdict {
    match findings_reason(findings) {
        Some(reason) if is_open_to_blame(&verdict) => fail(format!(
            "seen while {template} booted, which the machine is a clone of: {reason}"
        )),
        _ => verdict,
    }
}

/// The verdict of tests whose machine, were it a clone or not, can't get to where they could start.
pub(crate) fn of_their_machine(verdict: &Verdict) -> Verdict {
    match verdict {
        Verdict::Timeout { phase, reason } => Verdict::Timeout {
            phase: *phase,
            reason: format!("the machine they start from: {reason}"),
        },
        other => fail(format!("the machine they start from: {}", other.reason())),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kolea_machine::DownKind;
    use kolea_model::FindingSource;

    #[test]
    fn the_guests_faults_are_failures_and_the_hosts_are_not() {
        let down = |kind| Down {
            kind,
            message: "gone".into(),
        };
        let verdict = |kind| verdict_of_down(&down(kind), Phase::Running);
        assert!(matches!(
            verdict(DownKind::PoweredOff),
            Verdict::Fail { .. }
        ));
        assert_eq!(
            verdict(DownKind::OutOfMemory),
            infra(InfraCause::OutOfMemory, "gone (while running)")
        );
        let ssh = MachineError::Ssh("broken".into());
        assert!(matches!(
            verdict_of_error(&ssh, Phase::Booting),
            Verdict::Infra {
                cause: InfraCause::Boot,
                ..
            }
        ));
        assert!(matches!(
            verdict_of_error(&ssh, Phase::Running),
            Verdict::Infra {
                cause: InfraCause::Ssh,
                ..
            }
        ));
        assert_eq!(
            verdict_of_error(
                &MachineError::Guest("no\n\n such file\n".into()),
                Phase::Running
            ),
            fail("no; such file")
        );
    }

    #[test]
    fn findings_fail_what_would_have_passed() {
        let finding = Finding {
            rule: "kernel oops".into(),
            source: FindingSource::Console,
            line: "Oops: 2".into(),
        };
        let two = [finding.clone(), finding];
        assert_eq!(
            with_findings(Verdict::Pass, &two),
            fail("kernel oops: Oops: 2 (and 1 more)")
        );
        assert_eq!(with_findings(fail("x"), &two), fail("x"));
        assert_eq!(with_findings(Verdict::Pass, &[]), Verdict::Pass);
    }
}
