//! Firmware descriptors, as QEMU's `docs/interop/firmware.json` defines them. What is not used here is not read.

use std::fs;
use std::path::{Path, PathBuf};

use serde::Deserialize;

use super::Flash;

/// What one file describes.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub struct Descriptor {
    /// How it talks to what it boots: `bios`, `uefi`, …
    pub interface_types: Vec<String>,
    /// How it gets into the machine.
    pub mapping: Mapping,
    /// For which machines it is.
    pub targets: Vec<Target>,
    /// What it can and needs: `secure-boot`, `enrolled-keys`, `requires-smm`, …
    pub features: Vec<String>,
}

/// How a firmware gets into the machine.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(tag = "device", rename_all = "kebab-case")]
pub enum Mapping {
    /// In flash memory.
    #[serde(rename_all = "kebab-case")]
    Flash {
        /// Where its variables are.
        #[serde(default)]
        mode: FlashMode,
        /// Its code.
        executable: Flash,
        /// What variables of their own begin with.
        nvram_template: Option<Flash>,
    },
    /// In another way (`memory`, `kernel`, …).
    #[serde(other)]
    Other,
}

/// Where the variables of a firmware in flash memory are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FlashMode {
    /// In a flash memory of their own.
    #[default]
    Split,
    /// In that of the code.
    Combined,
    /// Nowhere: they are forgotten when the machine is switched off or reset.
    Stateless,
    /// Somewhere that is not known here.
    #[serde(other)]
    Other,
}

/// Machines that a firmware is for.
#[derive(Clone, Debug, PartialEq, Deserialize)]
pub struct Target {
    /// QEMU's name of the architecture, which is the RPM name of those that have UEFI.
    pub architecture: String,
    /// Patterns of machine types.
    pub machines: Vec<String>,
}

impl Descriptor {
    /// Whether it has a feature.
    pub fn has(&self, feature: &str) -> bool {
        self.features.iter().any(|own| own == feature)
    }

    /// Whether it is UEFI for machines of that architecture.
    pub fn is_uefi(&self, arch: &str) -> bool {
        self.interface_types.iter().any(|name| name == "uefi")
            && self
                .targets
                .iter()
                .any(|target| target.architecture == arch)
    }

    /// Whether it is for that type of machines: a versioned name, or the part of one before the version.
    pub fn is_for(&self, arch: &str, machine: &str) -> bool {
        let matches = |pattern: &String| {
            let exact = glob::Pattern::new(pattern).is_ok_and(|glob| glob.matches(machine));
            exact || machine.ends_with('-') && pattern.starts_with(machine)
        };
        self.targets
            .iter()
            .filter(|target| target.architecture == arch)
            .any(|target| target.machines.iter().any(matches))
    }
}

/// The directories of descriptors, from general to specific: the distribution's, the administrator's and the user's.
pub fn directories() -> Vec<PathBuf> {
    let set = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    let user = set("XDG_CONFIG_HOME")
        .map(PathBuf::from)
        .or_else(|| Some(PathBuf::from(set("HOME")?).join(".config")));
    ["/usr/share", "/etc"]
        .into_iter()
        .map(PathBuf::from)
        .chain(user)
        .map(|dir| dir.join("qemu/firmware"))
        .collect()
}

/// Reads all descriptors in these directories, in the order in which they are to be considered: by name. A file hides those of
/// the same name in directories before its own, and nothing comes in their place if it is empty. What cannot be read is passed
/// over, with a warning.
pub fn read(directories: &[PathBuf]) -> Vec<Descriptor> {
    let mut files = std::collections::BTreeMap::new();
    for entry in directories.iter().flat_map(fs::read_dir).flatten() {
        match entry {
            Ok(entry) => drop(files.insert(entry.file_name(), entry.path())),
            Err(error) => tracing::warn!("cannot list firmware descriptors: {error}"),
        }
    }
    files
        .into_values()
        .filter(|path| path.extension().is_some_and(|suffix| suffix == "json"))
        .filter_map(|path| match parse(&path) {
            Ok(descriptor) => descriptor,
            Err(why) => {
                tracing::warn!(
                    "cannot use the firmware descriptor {}: {why}",
                    path.display()
                );
                None
            }
        })
        .collect()
}

/// None if it is empty.
fn parse(path: &Path) -> Result<Option<Descriptor>, String> {
    let text = fs::read(path).map_err(|error| error.to_string())?;
    if text.is_empty() {
        return Ok(None);
    }
    serde_json::from_slice(&text)
        .map(Some)
        .map_err(|error| error.to_string())
}
