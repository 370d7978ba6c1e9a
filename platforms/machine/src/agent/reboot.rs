//! The harness's part in a reboot that a test asked for.

use super::run::last_line;
use crate::{BootId, Exec, Machine, MachineError, RunBy};

/// sshd stops before the test is told to go on: a reboot that is forced, or a crash, would otherwise leave us with a
/// connection that nobody ends.
fn acknowledge(sshd_unit: &str) -> String {
    format!("systemctl stop {sshd_unit} && echo >\"${{KOLET_ROOT-}}/run/kolet-reboot-ack\"")
}

/// The count before comes first, since the machine may be gone after the acknowledgement.
const ACKNOWLEDGE_SOFT: &str = "systemctl show --property=SoftRebootsCount --value && \
                                echo >\"${KOLET_ROOT-}/run/kolet-reboot-ack\"";

/// The label of the acknowledgement. An agent that waits on a port does not outlive it.
pub(super) const REBOOT_ACK: &str = "reboot-ack";

/// How long the guest holds the question for the number of soft reboots when it has no news, in seconds.
const HOLD: u32 = 10;

/// Reboots a machine on which no test runs (label `reboot`), and waits until a command has run after the reboot. Time limits are
/// the caller's.
pub async fn restart(machine: &dyn Machine, before: &BootId) -> Result<BootId, MachineError> {
    let answer = machine
        .exec(Exec {
            label: "reboot",
            command: "systemctl reboot".to_owned(),
            stdin: Vec::new(),
            by: RunBy::Root,
        })
        .await;
    match answer {
        Ok(output) if output.status != 0 => Err(MachineError::Guest(format!(
            "cannot reboot the machine (status {}): {}",
            output.status,
            last_line(&output.stderr_text())
        ))),
        // The reboot may be faster than its answer.
        Ok(_) | Err(MachineError::Ssh(_)) => machine.wait_ready(Some(before)).await,
        Err(error) => Err(error),
    }
}

/// Tells the test that it may reboot (label `reboot-ack`), and waits until a command has run after the reboot. `sshd_unit` is the
/// profile's. Time limits are the caller's.
pub async fn reboot(
    machine: &dyn Machine,
    before: &BootId,
    soft: bool,
    sshd_unit: &str,
) -> Result<BootId, MachineError> {
    let command = if soft {
        ACKNOWLEDGE_SOFT.to_owned()
    } else {
        acknowledge(sshd_unit)
    };
    let answer = machine
        .exec(Exec {
            label: REBOOT_ACK,
            command,
            stdin: Vec::new(),
            by: RunBy::Root,
        })
        .await;
    let count = match answer {
        Ok(output) if output.status == 0 => output.stdout_text().trim().to_owned(),
        Ok(output) => {
            return Err(MachineError::Guest(format!(
                "cannot acknowledge the reboot (status {}): {}",
                output.status,
                last_line(&output.stderr_text())
            )));
        }
        // Stopping sshd may take our connection with it, and the acknowledgement follows nevertheless.
        Err(MachineError::Ssh(_)) if !soft => String::new(),
        Err(error) => return Err(error),
    };
    if soft {
        wait_for_soft_reboot(machine, &count).await
    } else {
        machine.wait_ready(Some(before)).await
    }
}

/// A soft reboot kills our connection, and keeps the boot id. So the guest is asked for the number of soft reboots, and holds
/// the question until it is killed; then the next connection asks again.
async fn wait_for_soft_reboot(machine: &dyn Machine, count: &str) -> Result<BootId, MachineError> {
    loop {
        let answer = machine
            .exec(Exec {
                label: "soft-reboot-wait",
                command: format!(
                    "n=$(systemctl show --property=SoftRebootsCount --value) && \
                     if [ \"$n\" = '{count}' ]; then exec sleep {HOLD}; else echo \"$n\"; fi"
                ),
                stdin: Vec::new(),
                by: RunBy::User,
            })
            .await;
        match answer {
            Ok(output) if output.status == 0 && !output.stdout_text().trim().is_empty() => {
                return machine.wait_ready(None).await;
            }
            Ok(output) if output.status == 0 => {}
            // The command or the connection was killed: user space is going down.
            Ok(_) | Err(MachineError::Ssh(_)) => {
                machine.wait_ready(None).await?;
            }
            Err(error) => return Err(error),
        }
    }
}
