//! Bringing the agent, the tests and their data into the guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::PathBuf;

use kolea_model::ExternalTest;

use super::archive::Archive;
use super::{TestUnit, quote};
use crate::{Exec, Machine, MachineError, RunBy, Unit};

/// The agent; the guest's shell runs it, whatever its architecture.
const KOLET_SCRIPT: &str = include_str!("kolet.sh");

/// Under which name kolet is unpacked. It appears last and at once: units in the guest may wait for it.
pub(super) const KOLET_PARTIAL: &str = "usr/local/bin/kolet.partial";

/// Unpacks where the files belong, so that they get the labels that SELinux's policy wants there. `KOLET_ROOT` is for
/// our unit tests.
const UNPACK: &str = "umask 022 && cd \"${KOLET_ROOT-}/\" && tar -xmf -";
const KOLET_APPEARS: &str = " && mv -f usr/local/bin/kolet.partial usr/local/bin/kolet";

/// Up to which length, in bytes, a shell reads what it is to write: it reads byte by byte.
const SCRIPT_LIMIT: usize = 16 << 10;

/// Where units go that are brought to a machine.
pub(super) const UNITS: &str = "etc/systemd/system";

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
    let (command, stdin) = tokio::task::spawn_blocking(move || pack(&items, &units, onto))
        .await
        .map_err(|error| MachineError::Harness(format!("cannot pack the tests: {error}")))??;
    let output = machine
        .exec(Exec {
            label: "install",
            command,
            stdin,
            by: RunBy::Root,
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

/// The command that installs, and what it reads.
fn pack(items: &[Item], units: &[Unit], onto: Onto) -> Result<(String, Vec<u8>), MachineError> {
    if onto == Onto::Clone
        && let Some(script) = script(items, units)
    {
        return Ok((script, Vec::new()));
    }
    let mut command = UNPACK.to_owned();
    if onto == Onto::Provisioned {
        command.push_str(KOLET_APPEARS);
    }
    Ok((command, archive(items, units, onto)?))
}

/// Small texts are written by the shell itself, with one process instead of two that are large: 0.1 s of an emulated CPU
/// in a clone instead of 0.3 s. `None` if there is anything else, or if something can't be read, which [`archive`] explains.
fn script(items: &[Item], units: &[Unit]) -> Option<String> {
    let mut script = String::from("umask 022 && cd \"${KOLET_ROOT-}/\" || exit\n");
    let mut put = |path: &str, text: &str| {
        let (path, text) = (quote(path), quote(text));
        script.push_str(&format!("printf %s {text} >{path} || exit\n"));
        script.len() < SCRIPT_LIMIT
    };
    let mut executables = Vec::new();
    for unit in units {
        if !put(&format!("{UNITS}/{}", unit.name), &unit.contents) {
            return None;
        }
    }
    for item in items {
        // The shell could not read what has no end, and nobody wants to read what is large.
        let metadata = fs::metadata(&item.host).ok()?;
        if item.data || !metadata.is_file() || metadata.len() > SCRIPT_LIMIT as u64 {
            return None;
        }
        let text = fs::read_to_string(&item.host).ok()?;
        if text.contains('\0') || !put(&item.guest, &text) {
            return None;
        }
        executables.push(quote(&item.guest));
    }
    script.push_str(&format!("chmod 0755 {}\n", executables.join(" ")));
    Some(script)
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
