//! From a machine that is ready to a template.

use std::fs::{self, File};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kolea_machine::{Exec, GuestFacts, Machine, MachineError, RunBy, agent};
use serde_json::json;
use tokio::time::timeout;

use super::manifest::Manifest;
use super::save::{save, stop_between_entries};
use super::{Frozen, Store, TemplateKey, names};
use crate::command_line::Memory;
use crate::disk::file_error;
use crate::files::{MachineFiles, names as file_names};
use crate::machine::QemuMachine;

/// How long the agent may take to say hello after its unit was started, emulation included.
const HELLO: Duration = Duration::from_secs(60);
/// The last command before the guest is frozen. What it has logged is to be in the template's journal, not in that of every
/// clone. And the log-in over SSH is to stay open in the clones, which it does until they send the first packet to a host
/// that does not know of it: so TCP has to be done, with acknowledgements that it delays by up to 0.2 s.
const SETTLE: &str = "journalctl --sync && sleep 0.3";
/// How long QEMU may take to end.
const QUIT: Duration = Duration::from_secs(10);

/// Freezes a machine that is ready. `public_key`: what clones get another in the place of, if they do. `store`: where the template is to be published.
pub async fn freeze(
    machine: &QemuMachine,
    key: TemplateKey,
    public_key: Option<&str>,
    store: Option<Store>,
) -> Result<Arc<Frozen>, MachineError> {
    let Memory::Shared(ram) = machine.memory.clone() else {
        return Err(MachineError::Harness(
            "cannot freeze a machine that was not started for that".to_owned(),
        ));
    };
    let steps = &machine.steps;
    // What is on the disk already need not be waited for in the end. Errors come again there.
    let early = tokio::task::spawn_blocking(move || File::open(ram)?.sync_data());
    let guest = steps.time("prepare", prepare(machine, public_key)).await?;
    let _ = early.await;
    steps.time("stop", stop_between_entries(machine)).await?;
    // From here on its files are ours, and gone if anything fails.
    let files = machine.files.take().ok_or_else(|| {
        MachineError::Harness("cannot freeze a machine that has ended".to_owned())
    })?;
    let state = files.path().join(names::STATE);
    File::options()
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&state)
        .map_err(|error| file_error("create", &state, &error))?;
    steps.time("save", save(machine, &state)).await?;
    let dir = machine.dir().to_owned();
    let publish = async {
        quit(machine).await;
        tokio::task::spawn_blocking(move || publish(files, &dir, key, guest, store))
            .await
            .map_err(|error| MachineError::Harness(format!("cannot keep a template: {error}")))?
    };
    Ok(Arc::new(steps.time("publish", publish).await?))
}

async fn prepare(
    machine: &QemuMachine,
    public_key: Option<&str>,
) -> Result<GuestFacts, MachineError> {
    let guest = agent::prepare_template(machine, public_key).await?;
    let settle = Exec {
        label: "settle",
        command: SETTLE.to_owned(),
        by: RunBy::Root,
        stdin: Vec::new(),
    };
    let hello = timeout(HELLO, async {
        machine.agent.hello().await?;
        machine.agent.exec(&settle).await
    });
    tokio::select! {
        biased;
        down = machine.down() => Err(MachineError::Down(down)),
        said = hello => match said {
            Ok(Ok(output)) if output.status == 0 => Ok(guest),
            Ok(Ok(output)) => Err(MachineError::Guest(format!(
                "cannot freeze the machine: `{SETTLE}` failed (status {}): {}",
                output.status,
                output.stderr_text().trim()
            ))),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(MachineError::Guest(format!(
                "the guest's agent did not answer on its port within {} s; see kolet-agent.service in journal.txt",
                HELLO.as_secs()
            ))),
        },
    }
}

/// Ends QEMU, which closes its files properly.
async fn quit(machine: &QemuMachine) {
    let life = &machine.leash.0;
    life.expect_end();
    // It may be gone before it has answered.
    let _ = machine.qmp.execute("quit", json!({})).await;
    if timeout(QUIT, life.ended()).await.is_err() {
        machine.stop().await;
    }
}

/// Completes the directory of a template and gives it its place.
fn publish(
    files: MachineFiles,
    artefacts: &Path,
    key: TemplateKey,
    guest: GuestFacts,
    store: Option<Store>,
) -> Result<Frozen, MachineError> {
    let dir: PathBuf = files.path().to_owned();
    let work = move || -> io::Result<Frozen> {
        // The TPM's state is in that of the devices.
        match fs::remove_dir_all(files.path().join(file_names::TPM)) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        for name in names::ARTEFACTS.into_iter().chain([names::IGNITION]) {
            match fs::copy(artefacts.join(name), files.path().join(name)) {
                // A guest that said nothing.
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                result => drop(result?),
            }
        }
        let manifest = Manifest::write(files.path(), key, guest)?;
        match store {
            Some(store) => store.publish(files, manifest),
            None => Ok(Frozen::new(files, manifest, None)),
        }
    };
    work().map_err(|error| file_error("keep the template in", &dir, &error))
}
