//! Running a test's unit.

use serde::Deserialize;

use super::TestUnit;
use crate::{Exec, ExecOutput, Machine, MachineError, RunBy};

/// kolet's exit statuses.
const UNIT_FAILED: i32 = 10;
const UNIT_SKIPPED: i32 = 77;

/// How one run of a test's unit ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum UnitEnd {
    /// It exited with 0.
    Passed,
    /// It exited with 77; the last line that it printed says why.
    Skipped,
    /// It failed.
    Failed {
        /// How: `exited with code 1`, `killed by signal 9`…
        reason: String,
    },
    /// It waits for the harness to allow a reboot.
    Reboot {
        /// What the next run is to find in `AUTOPKGTEST_REBOOT_MARK`.
        mark: String,
        /// Whether only user space is to be restarted.
        soft: bool,
    },
}

/// What kolet prints when the test asked for a reboot.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct RebootRequest {
    reboot: String,
    soft_reboot: String,
}

/// Starts the unit and waits until it has ended or asks for a reboot, with one command (label `run-test-unit`). `mark` is that
/// of the reboot before. Fails only if the unit could not be run.
pub async fn run_unit(
    machine: &dyn Machine,
    unit: &TestUnit,
    mark: Option<&str>,
    allow_reboots: bool,
) -> Result<UnitEnd, MachineError> {
    let mut command = String::from("$KOLET run-test-unit");
    if !allow_reboots {
        command.push_str(" --deny-reboots");
    }
    if mark.is_some() {
        command.push_str(" --env-from-stdin");
    }
    command.push(' ');
    command.push_str(unit.name());
    let output = machine
        .exec(Exec {
            label: "run-test-unit",
            command,
            stdin: mark.map(environment).unwrap_or_default().into_bytes(),
            by: RunBy::Root,
        })
        .await?;
    end_of(unit, &output)
}

fn end_of(unit: &TestUnit, output: &ExecOutput) -> Result<UnitEnd, MachineError> {
    match output.status {
        0 if output.stdout.is_empty() => Ok(UnitEnd::Passed),
        0 => {
            let stdout = output.stdout_text();
            let request: RebootRequest = serde_json::from_str(&stdout).map_err(|error| {
                MachineError::Guest(format!(
                    "kolet's answer for {} is not a reboot request: {error}: `{}`",
                    unit.name(),
                    last_line(&stdout)
                ))
            })?;
            let soft = !request.soft_reboot.is_empty();
            Ok(UnitEnd::Reboot {
                mark: if soft {
                    request.soft_reboot
                } else {
                    request.reboot
                },
                soft,
            })
        }
        UNIT_SKIPPED => Ok(UnitEnd::Skipped),
        UNIT_FAILED => Ok(UnitEnd::Failed {
            reason: last_line(&output.stderr_text()),
        }),
        status => Err(MachineError::Guest(format!(
            "kolet could not run {} (status {status}): {}",
            unit.name(),
            last_line(&output.stderr_text())
        ))),
    }
}

/// The contents of systemd's `EnvironmentFile` for a mark. Every systemd takes a backslash before these characters for
/// an escape inside double quotes, and a line's end for itself.
fn environment(mark: &str) -> String {
    let mut text = String::from("AUTOPKGTEST_REBOOT_MARK=\"");
    for character in mark.chars() {
        if matches!(character, '"' | '\\' | '$' | '`') {
            text.push('\\');
        }
        text.push(character);
    }
    text.push_str("\"\n");
    text
}

/// What `systemctl status` says of the unit, with the last 40 lines of its log (label `unit-status`).
pub async fn unit_status(machine: &dyn Machine, unit: &TestUnit) -> Result<String, MachineError> {
    let output = machine
        .exec(Exec {
            label: "unit-status",
            command: format!(
                "systemctl status --no-pager --full --lines=40 {}",
                unit.name()
            ),
            stdin: Vec::new(),
            by: RunBy::Anyone,
        })
        .await?;
    // The exit status speaks of the unit: 3 is "not active".
    let mut text = output.stdout_text();
    text.push_str(&output.stderr_text());
    Ok(text)
}

/// The last line that says something.
pub(super) fn last_line(text: &str) -> String {
    text.lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("it printed nothing")
        .to_owned()
}
