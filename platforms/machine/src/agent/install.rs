//! Bringing the agent, the tests and their data into the guest.

use std::collections::BTreeMap;
use std::path::PathBuf;

use kolea_model::ExternalTest;

use super::TestUnit;
use super::archive::Archive;
use crate::{Exec, Machine, MachineError, Unit};

/// The agent; the guest's shell runs it, whatever its architecture.
const KOLET_SCRIPT: &str = include_str!("kolet.sh");

/// Under which name kolet is unpacked. It appears last and at once: units in the guest may wait for it.
pub(super) const KOLET_PARTIAL: &str = "usr/local/bin/kolet.partial";

/// Unpacks where the files belong, so that they get the labels that SELinux's policy wants there. `KOLET_ROOT` is for
/// our unit tests.
const UNPACK: &str = "umask 022 && cd \"${KOLET_ROOT-}/\" && tar -xmf -";
const KOLET_APPEARS: &str = " && mv -f usr/local/bin/kolet.partial usr/local/bin/kolet";

/// Where the units of tests go on a clone.
const UNITS: &str = "etc/systemd/system";

/// What the tests are brought onto.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Onto {
    /// A machine whose tests' units were provisioned; kolet is brought along.
    Provisioned,
    /// A clone, which has kolet; the tests' units are brought along.
    Clone,
}

/// What is to be put where.
struct Item {
    host: PathBuf,
    guest: String,
    data: bool,
}

/// Copies the tests' executables, their data, and kolet or the tests' units to the machine with one command (label `install`).
///
/// Everything belongs to root and nothing is writable for others. Symbolic links in data are followed.
pub async fn install(
    machine: &dyn Machine,
    tests: &[(&TestUnit, &ExternalTest)],
    onto: Onto,
) -> Result<(), MachineError> {
    let items = items(tests);
    let units: Vec<Unit> = match onto {
        Onto::Provisioned => Vec::new(),
        Onto::Clone => tests.iter().map(|(unit, _)| unit.unit()).collect(),
    };
    let archive = tokio::task::spawn_blocking(move || archive(&items, &units, onto))
        .await
        .map_err(|error| MachineError::Harness(format!("cannot pack the tests: {error}")))??;
    let mut command = UNPACK.to_owned();
    if onto == Onto::Provisioned {
        command.push_str(KOLET_APPEARS);
    }
    let output = machine
        .exec(Exec {
            label: "install",
            command,
            stdin: archive,
            root: true,
        })
        .await?;
    if output.status == 0 {
        return Ok(());
    }
    Err(MachineError::Guest(format!(
        "cannot copy the tests to the machine (status {}): {}",
        output.status,
        super::run::last_line(&output.stderr_text()),
    )))
}

fn items(tests: &[(&TestUnit, &ExternalTest)]) -> Vec<Item> {
    let mut uses: BTreeMap<&str, usize> = BTreeMap::new();
    for (unit, _) in tests {
        *uses.entry(unit.executable()).or_default() += 1;
    }
    let mut items = Vec::new();
    for (unit, test) in tests {
        let executable = unit.executable();
        let shared = uses.get(executable).is_some_and(|uses| *uses > 1);
        items.push(Item {
            host: test.executable.clone(),
            guest: if shared {
                // kolet moves it to its place when its turn has come.
                format!("usr/local/bin/{}.{executable}", unit.name())
            } else {
                format!("usr/local/bin/kola-runext-{executable}")
            },
            data: false,
        });
        if let Some(data) = &test.data {
            items.push(Item {
                host: data.clone(),
                guest: unit.data_dir().trim_start_matches('/').to_owned(),
                data: true,
            });
        }
    }
    items
}

fn archive(items: &[Item], units: &[Unit], onto: Onto) -> Result<Vec<u8>, MachineError> {
    let mut archive = Archive::new();
    for unit in units {
        let path = format!("{UNITS}/{}", unit.name);
        archive.append(&path, 0o644, unit.contents.as_bytes())?;
    }
    for item in items {
        if item.data {
            archive.add_directory(&item.host, &item.guest, 0)?;
        } else {
            archive.add_file(&item.host, &item.guest, true)?;
        }
    }
    if onto == Onto::Provisioned {
        archive.append(KOLET_PARTIAL, 0o755, kolet().as_bytes())?;
    }
    archive.finish()
}

/// The agent, as it is brought into the guest.
pub(super) fn kolet() -> String {
    KOLET_SCRIPT.replace("@VERSION@", env!("CARGO_PKG_VERSION"))
}
