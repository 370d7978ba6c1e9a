//! Bringing the agent, the tests and their data into the guest.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use kolea_model::ExternalTest;
use tar::{Builder, EntryType, Header};

use super::TestUnit;
use crate::{Exec, Machine, MachineError};

/// The agent; the guest's shell runs it, whatever its architecture.
const KOLET_SCRIPT: &str = include_str!("kolet.sh");

/// Unpacks where the files belong, so that they get the labels that SELinux's policy wants there. kolet appears last and at
/// once: units in the guest may wait for it. `KOLET_ROOT` is for our unit tests; sudo lets none through.
const UNPACK: &str = "sudo sh -c 'umask 022 && cd \"${KOLET_ROOT-}/\" && tar -xmf - && \
                      mv -f usr/local/bin/kolet.partial usr/local/bin/kolet'";

/// How deep a test's data may be nested; deeper is a loop of symbolic links.
const MAX_DEPTH: usize = 30;

/// What is to be put where.
struct Item {
    host: PathBuf,
    guest: String,
    data: bool,
}

/// Copies kolet, the tests' executables and their data to the machine with one command (label `install`).
///
/// Everything belongs to root and nothing is writable for others. Symbolic links in data are followed.
pub async fn install(
    machine: &dyn Machine,
    tests: &[(&TestUnit, &ExternalTest)],
) -> Result<(), MachineError> {
    let items = items(tests);
    let archive = tokio::task::spawn_blocking(move || archive(&items))
        .await
        .map_err(|error| MachineError::Harness(format!("cannot pack the tests: {error}")))??;
    let output = machine
        .exec(Exec {
            label: "install",
            command: UNPACK.to_owned(),
            stdin: archive,
            root: false,
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

fn archive(items: &[Item]) -> Result<Vec<u8>, MachineError> {
    let mut builder = Builder::new(Vec::new());
    for item in items {
        if item.data {
            add_directory(&mut builder, &item.host, &item.guest, 0)?;
        } else {
            add_file(&mut builder, &item.host, &item.guest, true)?;
        }
    }
    let kolet = KOLET_SCRIPT.replace("@VERSION@", env!("CARGO_PKG_VERSION"));
    append(
        &mut builder,
        "usr/local/bin/kolet.partial",
        0o755,
        kolet.as_bytes(),
    )?;
    builder.into_inner().map_err(|error| packing(&error))
}

fn add_directory(
    builder: &mut Builder<Vec<u8>>,
    host: &Path,
    guest: &str,
    depth: usize,
) -> Result<(), MachineError> {
    if depth > MAX_DEPTH {
        return Err(MachineError::Harness(format!(
            "test data `{}` is nested too deeply: do its symbolic links form a loop?",
            host.display()
        )));
    }
    let mut header = header(0o755);
    header.set_entry_type(EntryType::Directory);
    header.set_size(0);
    builder
        .append_data(&mut header, format!("{guest}/"), std::io::empty())
        .map_err(|error| packing(&error))?;
    let mut names = fs::read_dir(host)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|entry| entry.file_name()))
                .collect::<Result<Vec<_>, _>>()
        })
        .map_err(|error| unreadable(host, &error))?;
    names.sort();
    for name in names {
        let path = host.join(&name);
        let Some(name) = name.to_str() else {
            return Err(MachineError::Harness(format!(
                "test data `{}` has a name that is not UTF-8",
                path.display()
            )));
        };
        let guest = format!("{guest}/{name}");
        let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
        if metadata.is_dir() {
            add_directory(builder, &path, &guest, depth + 1)?;
        } else if metadata.is_file() {
            use std::os::unix::fs::PermissionsExt;
            let executable = metadata.permissions().mode() & 0o111 != 0;
            add_file(builder, &path, &guest, executable)?;
        } else {
            return Err(MachineError::Harness(format!(
                "test data `{}` is neither a file nor a directory",
                path.display()
            )));
        }
    }
    Ok(())
}

fn add_file(
    builder: &mut Builder<Vec<u8>>,
    host: &Path,
    guest: &str,
    executable: bool,
) -> Result<(), MachineError> {
    let contents = fs::read(host).map_err(|error| unreadable(host, &error))?;
    append(
        builder,
        guest,
        if executable { 0o755 } else { 0o644 },
        &contents,
    )
}

fn append(
    builder: &mut Builder<Vec<u8>>,
    guest: &str,
    mode: u32,
    contents: &[u8],
) -> Result<(), MachineError> {
    let mut header = header(mode);
    header.set_size(contents.len() as u64);
    builder
        .append_data(&mut header, guest, contents)
        .map_err(|error| packing(&error))
}

fn header(mode: u32) -> Header {
    let mut header = Header::new_gnu();
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header
}

fn packing(error: &std::io::Error) -> MachineError {
    MachineError::Harness(format!("cannot pack the tests: {error}"))
}

fn unreadable(path: &Path, error: &std::io::Error) -> MachineError {
    let dangling = error.kind() == std::io::ErrorKind::NotFound
        && fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_symlink());
    if dangling {
        let target = fs::read_link(path).unwrap_or_default();
        return MachineError::Harness(format!(
            "cannot copy `{}` to the machine: it is a symbolic link to `{}`, which does not exist",
            path.display(),
            target.display()
        ));
    }
    MachineError::Harness(format!(
        "cannot copy `{}` to the machine: {error}",
        path.display()
    ))
}
