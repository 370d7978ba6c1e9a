//! Configs that every machine's own is merged with: `--append-ignition`, `--append-butane`, `--debug-systemd-unit`.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use anyhow::{Context, anyhow, bail};
use kolea_model::UserConfig;
use serde_json::json;

use super::path;
use crate::args::MachineArgs;

/// Reads all of them; each is valid Ignition.
pub fn read(args: &MachineArgs) -> anyhow::Result<Vec<UserConfig>> {
    let mut configs = Vec::new();
    for file in given(&args.append_ignition) {
        configs.push(ignition(file)?);
    }
    for file in given(&args.append_butane) {
        configs.push(butane_config(args, file)?);
    }
    if !args.debug_systemd_unit.is_empty() {
        configs.push(UserConfig {
            path: PathBuf::from("--debug-systemd-unit"),
            text: Arc::from(debug_units(&args.debug_systemd_unit)),
        });
    }
    Ok(configs)
}

/// An Ignition config.
pub fn ignition(file: &Path) -> anyhow::Result<UserConfig> {
    config(file, read_text(file)?)
}

/// A Butane config, translated.
pub fn butane_config(args: &MachineArgs, file: &Path) -> anyhow::Result<UserConfig> {
    config(file, butane(args, file)?)
}

/// Translates a Butane config, by `--butane-program` if there is one.
pub fn butane(args: &MachineArgs, file: &Path) -> anyhow::Result<String> {
    match path(&args.butane_program) {
        Some(program) => by_program(program, file),
        None => translate(file),
    }
}

fn given(files: &[PathBuf]) -> impl Iterator<Item = &Path> {
    files
        .iter()
        .map(PathBuf::as_path)
        .filter(|file| !file.as_os_str().is_empty())
}

fn read_text(file: &Path) -> anyhow::Result<String> {
    std::fs::read_to_string(file).with_context(|| format!("cannot read config {}", file.display()))
}

fn config(file: &Path, text: String) -> anyhow::Result<UserConfig> {
    kolea_butane::validate(&text).map_err(|problem| anyhow!("{}: {problem}", file.display()))?;
    Ok(UserConfig {
        path: file.to_path_buf(),
        text: Arc::from(text),
    })
}

/// A warning is as good as an error here, as for the configs of tests: there is nothing that allows it.
fn translate(file: &Path) -> anyhow::Result<String> {
    let translation = kolea_butane::translate(&read_text(file)?, file.parent());
    let notes: Vec<String> = translation
        .notes
        .iter()
        .map(|note| format!("{}:{note}", file.display()))
        .collect();
    match translation.ignition {
        Some(ignition) if notes.is_empty() => Ok(ignition),
        _ => bail!("{}", notes.join("\n")),
    }
}

/// By a butane that is installed.
fn by_program(program: &Path, file: &Path) -> anyhow::Result<String> {
    let shown = program.display();
    let output = Command::new(program)
        .arg("--strict")
        .arg("--files-dir")
        .arg(match file.parent() {
            Some(dir) if !dir.as_os_str().is_empty() => dir,
            _ => Path::new("."),
        })
        .arg(file)
        .output()
        .with_context(|| format!("cannot run {shown} (--butane-program)"))?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        let last = said.lines().map(str::trim).rfind(|line| !line.is_empty());
        bail!(
            "{shown} cannot translate {}: {}",
            file.display(),
            last.unwrap_or("it failed and said nothing")
        );
    }
    String::from_utf8(output.stdout)
        .with_context(|| format!("{shown} wrote something that is not text"))
}

/// Drop-ins with the name and the text that kola's have.
fn debug_units(names: &[String]) -> String {
    let units: Vec<serde_json::Value> = names
        .iter()
        .map(|name| {
            let name = if name.contains('.') {
                name.clone()
            } else {
                format!("{name}.service")
            };
            json!({
                "name": name,
                "dropins": [{
                    "name": "10-debug.conf",
                    "contents": "[Service]\nEnvironment=SYSTEMD_LOG_LEVEL=debug\n",
                }],
            })
        })
        .collect();
    json!({ "ignition": { "version": "3.0.0" }, "systemd": { "units": units } }).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_units_are_valid_ignition_with_kolas_drop_in() {
        let text = debug_units(&["a.socket".to_owned(), "b".to_owned()]);
        kolea_butane::validate(&text).unwrap();
        let config: serde_json::Value = serde_json::from_str(&text).unwrap();
        let units = &config["systemd"]["units"];
        assert_eq!(units[0]["name"], "a.socket");
        assert_eq!(units[1]["name"], "b.service");
        assert_eq!(units[1]["dropins"][0]["name"], "10-debug.conf");
        assert_eq!(
            units[1]["dropins"][0]["contents"],
            "[Service]\nEnvironment=SYSTEMD_LOG_LEVEL=debug\n"
        );
    }
}
