//! What Ignition would have brought, for machines without: over the first connection.

use super::archive::Archive;
use super::install::UNITS;
use super::quote;
use super::run::last_line;
use crate::ignition::HarnessConfig;
use crate::{Exec, ExecOutput, MachineError, Provision, RunBy, Unit};

/// The command that brings files, directories and units, and starts the units that are enabled (label `provision`). [`arrived`]
/// judges what came of it.
pub fn late(provision: &Provision, harness: &HarnessConfig<'_>) -> Result<Exec, MachineError> {
    if let Some(config) = provision.configs.first() {
        return Err(MachineError::Harness(format!(
            "a machine without Ignition has nobody to read {}",
            config.path.display()
        )));
    }
    let units = || provision.units.iter().chain(&harness.units);
    let mut archive = Archive::new();
    for file in harness.files {
        archive.append(
            file.path.trim_start_matches('/'),
            file.mode,
            file.contents.as_bytes(),
        )?;
    }
    for Unit { name, contents, .. } in units() {
        archive.append(&format!("{UNITS}/{name}"), 0o644, contents.as_bytes())?;
    }
    let words = |words: &mut dyn Iterator<Item = &String>| -> String {
        words.map(|word| format!(" {}", quote(word))).collect()
    };
    let directories = harness
        .directories
        .iter()
        .map(|path| path.trim_start_matches('/').to_owned());
    let directories = words(&mut directories.collect::<Vec<_>>().iter());
    let enabled = words(&mut units().filter(|unit| unit.enabled).map(|unit| &unit.name));
    let mut command = "umask 022 && cd \"${KOLET_ROOT-}/\" && tar -xmf - || exit\n".to_owned();
    if !directories.is_empty() {
        command.push_str(&format!("mkdir -p --{directories} || exit\n"));
    }
    // Enabling has systemd read the units, those that are not enabled among them.
    command.push_str(&format!(
        "systemctl enable --quiet --{enabled} && systemctl start --{enabled}\n"
    ));
    Ok(Exec {
        label: "provision",
        command,
        stdin: archive.finish()?,
        by: RunBy::Root,
    })
}

/// Whether [`late`] has done its work.
pub fn arrived(output: &ExecOutput, user: &str) -> Result<(), MachineError> {
    if output.status == 0 {
        return Ok(());
    }
    let advice = match user {
        "root" => String::new(),
        user => format!("; user `{user}` needs sudo without a password"),
    };
    Err(MachineError::Guest(format!(
        "cannot bring the harness's units to the machine (status {}): {}{advice}",
        output.status,
        last_line(&output.stderr_text())
    )))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::Machine;
    use crate::agent::testing::LocalMachine;
    use crate::journal::{STREAM_UNIT, stream_unit};
    use crate::profile::ProfileFile;

    fn harness(files: &[ProfileFile]) -> HarnessConfig<'_> {
        HarnessConfig {
            user: "core",
            public_key: "ssh-ed25519 AAAA kolea",
            units: vec![stream_unit()],
            files,
            directories: &[],
        }
    }

    #[tokio::test]
    async fn files_and_units_are_there_and_what_is_enabled_is_started() {
        let machine = LocalMachine::new();
        machine.script(
            "bin/systemctl",
            "echo \"systemctl $*\" >>\"$KOLET_ROOT/log\"",
        );
        let files = [ProfileFile {
            path: "/etc/sudoers.d/x".to_owned(),
            mode: 0o440,
            contents: "x\n".to_owned(),
        }];
        let provision = Provision {
            configs: Vec::new(),
            units: vec![Unit {
                name: "kola-runext.service".to_owned(),
                enabled: false,
                contents: "[Unit]\n".to_owned(),
            }],
        };
        let directories = ["/srv/a b".to_owned()];
        let harness = HarnessConfig {
            directories: &directories,
            ..harness(&files)
        };
        let exec = late(&provision, &harness).unwrap();
        let output = machine.exec(exec).await.unwrap();
        arrived(&output, "core").unwrap();
        let mode = |path: &str| {
            let metadata = std::fs::metadata(machine.path(path)).unwrap();
            metadata.permissions().mode() & 0o7777
        };
        assert_eq!(mode("etc/sudoers.d/x"), 0o440);
        assert_eq!(mode("etc/systemd/system/kola-runext.service"), 0o644);
        assert_eq!(mode("srv/a b"), 0o755);
        let stream = machine.path(&format!("etc/systemd/system/{STREAM_UNIT}"));
        assert_eq!(
            std::fs::read_to_string(stream).unwrap(),
            stream_unit().contents
        );
        assert_eq!(
            machine.log(),
            format!(
                "systemctl enable --quiet -- {STREAM_UNIT}\nsystemctl start -- {STREAM_UNIT}\n"
            )
        );
    }

    #[tokio::test]
    async fn failures_say_what_may_be_missing() {
        let machine = LocalMachine::new();
        machine.script(
            "bin/sudo",
            "echo 'sudo: a password is required' >&2; exit 1",
        );
        let exec = late(&Provision::default(), &harness(&[])).unwrap();
        let output = machine.exec(exec).await.unwrap();
        assert_eq!(
            arrived(&output, "core").unwrap_err().to_string(),
            "cannot bring the harness's units to the machine (status 1): sudo: a password is required; user `core` needs sudo \
             without a password"
        );
        let root = arrived(&output, "root").unwrap_err().to_string();
        assert!(root.ends_with("required"), "{root}");
    }

    #[test]
    fn nobody_reads_an_ignition_config() {
        let provision = Provision {
            configs: vec![kolea_model::UserConfig {
                path: "a/config.ign".into(),
                text: "{}".into(),
            }],
            units: Vec::new(),
        };
        let error = late(&provision, &harness(&[])).unwrap_err();
        assert!(error.to_string().contains("a/config.ign"), "{error}");
    }
}
