//! Saving a machine's state and loading it. Memory stays where it is, in its file (`x-ignore-shared`).

use std::path::Path;
use std::time::Duration;

use kolea_machine::{Machine, MachineError};
use serde_json::{Value, json};
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::machine::QemuMachine;
use crate::qmp::{Qmp, QmpError};
use crate::supervisor::Life;

/// How often a machine is let go on since it was stopped in the middle of a journal entry.
const ATTEMPTS: usize = 20;
/// How long the rest of an entry may take.
const PATIENCE: Duration = Duration::from_secs(10);

/// Stops a machine when all that it said has been read, and its journal is between two entries: a clone's goes on there.
pub async fn stop_between_entries(machine: &QemuMachine) -> Result<(), MachineError> {
    let mut torn = false;
    for _ in 0..ATTEMPTS {
        execute(machine, "stop", json!({})).await?;
        drain(machine).await?;
        let mut whole = machine.taps.whole.clone();
        if torn || *whole.borrow_and_update() {
            return Ok(());
        }
        execute(machine, "cont", json!({})).await?;
        // An entry whose rest does not come was torn, by a crash of whoever sends them.
        torn = timeout(PATIENCE, whole.wait_for(|whole| *whole))
            .await
            .is_err();
    }
    Err(MachineError::Guest(
        "cannot freeze the machine: its journal never rests; is something in it logging without a pause?"
            .to_owned(),
    ))
}

/// Reads what the stopped machine has said, until nothing more comes: QEMU may hold back what did not fit into a pipe.
async fn drain(machine: &QemuMachine) -> Result<(), MachineError> {
    loop {
        let mut drained = 0;
        for pump in &machine.taps.drains {
            let (reply, answer) = oneshot::channel();
            // A pump that is gone has nothing left.
            if pump.send(reply).await.is_ok() {
                drained += answer.await.unwrap_or_default();
            }
        }
        if drained == 0 {
            return Ok(());
        }
        // Answered by the same thread of QEMU that writes to the pipes.
        execute(machine, "query-status", json!({})).await?;
    }
}

/// Saves the state of a stopped machine, which can't go on afterwards.
pub async fn save(machine: &QemuMachine, state: &Path) -> Result<(), MachineError> {
    match migrate(&machine.qmp, &machine.leash.0, "migrate", state).await {
        Ok(()) => Ok(()),
        Err(QmpError::Closed) => Err(gone(machine).await),
        Err(QmpError::Refused { message, .. }) => {
            let text = format!("cannot save a machine to {}: {message}", state.display());
            Err(if message.contains("No space left") {
                MachineError::DiskFull(text)
            } else {
                MachineError::Harness(text)
            })
        }
    }
}

/// Loads a state into a machine that waits for one.
pub async fn load(qmp: &Qmp, life: &Life, state: &Path) -> Result<(), QmpError> {
    migrate(qmp, life, "migrate-incoming", state).await
}

async fn migrate(
    qmp: &Qmp,
    life: &Life,
    command: &'static str,
    state: &Path,
) -> Result<(), QmpError> {
    let mut status = life.migration.subscribe();
    let mut down = life.down.subscribe();
    let on = |name: &str| json!({ "capability": name, "state": true });
    qmp.execute(
        "migrate-set-capabilities",
        json!({ "capabilities": [on("x-ignore-shared"), on("events")] }),
    )
    .await?;
    let address = json!({ "transport": "file", "filename": state, "offset": 0 });
    let channel = json!({ "channel-type": "main", "addr": address });
    qmp.execute(command, json!({ "channels": [channel] }))
        .await?;
    let failed = tokio::select! {
        status = status.wait_for(|status| ["completed", "failed"].contains(&status.as_str())) => {
            status.is_ok_and(|status| *status == "failed")
        }
        _ = down.wait_for(Option::is_some) => return Err(QmpError::Closed),
    };
    if !failed {
        return Ok(());
    }
    let details = qmp.execute("query-migrate", json!({})).await?;
    Err(QmpError::Refused {
        command: command.to_owned(),
        message: details["error-desc"]
            .as_str()
            .unwrap_or("no reason given")
            .to_owned(),
    })
}

/// Runs a command of the monitor.
async fn execute(
    machine: &QemuMachine,
    name: &'static str,
    arguments: Value,
) -> Result<Value, MachineError> {
    match machine.qmp.execute(name, arguments).await {
        Ok(value) => Ok(value),
        Err(QmpError::Closed) => Err(gone(machine).await),
        Err(error) => Err(MachineError::Harness(format!(
            "cannot freeze the machine: {error}"
        ))),
    }
}

/// QEMU closed its monitor: it is ending, and its supervisor will say why.
async fn gone(machine: &QemuMachine) -> MachineError {
    match timeout(PATIENCE, machine.down()).await {
        Ok(down) => MachineError::Down(down),
        Err(_) => MachineError::Harness("QEMU closed its monitor and goes on".to_owned()),
    }
}
