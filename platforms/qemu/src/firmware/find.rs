//! Choosing a firmware.

use std::path::{Path, PathBuf};

use super::descriptor::{self, Descriptor, FlashMode, Mapping};
use super::{Uefi, places};
use crate::arch::Arch;

/// What is looked for, and where.
#[derive(Debug)]
pub struct Search {
    arch: Arch,
    /// The versioned machine type, or the part of it before the version.
    machine: String,
    directories: Vec<PathBuf>,
    /// Of UEFI for the architecture, in order.
    descriptors: Vec<Descriptor>,
    /// Where the files that they name are: `/`.
    root: PathBuf,
}

impl Search {
    /// A search on this host.
    pub fn new(arch: Arch, machine: &str) -> Search {
        Search::within(arch, machine, descriptor::directories(), "/".into())
    }

    /// A search in these directories of descriptors, on a host whose files are below `root`.
    fn within(arch: Arch, machine: &str, directories: Vec<PathBuf>, root: PathBuf) -> Search {
        let mut descriptors = descriptor::read(&directories);
        descriptors.retain(|descriptor| descriptor.is_uefi(arch.name()));
        Search {
            arch,
            machine: machine.to_owned(),
            directories,
            descriptors,
            root,
        }
    }

    /// The first firmware with Secure Boot and keys in its variables, or without. The error is for people.
    pub fn find(&self, secure: bool) -> Result<Uefi, String> {
        let found = if secure {
            self.first(|firmware| firmware.has("secure-boot") && firmware.has("enrolled-keys"))
        } else {
            // Not everybody builds one without Secure Boot, which enforces nothing until there are keys.
            self.first(|firmware| !firmware.has("secure-boot") && !firmware.has("enrolled-keys"))
                .or_else(|| self.first(|firmware| !firmware.has("enrolled-keys")))
        };
        let elsewhere = || {
            places::candidates(self.arch, secure)
                .filter(|_| self.descriptors.is_empty())
                .find(|uefi| self.is_there(uefi))
        };
        found
            .or_else(elsewhere)
            .ok_or_else(|| self.not_found(secure))
    }

    fn first(&self, suits: impl Fn(&Descriptor) -> bool) -> Option<Uefi> {
        self.descriptors
            .iter()
            .filter(|firmware| suits(firmware) && firmware.is_for(self.arch.name(), &self.machine))
            .filter_map(usable)
            .find(|uefi| self.is_there(uefi))
    }

    fn is_there(&self, uefi: &Uefi) -> bool {
        let is_file = |path: &Path| {
            self.root
                .join(path.strip_prefix("/").unwrap_or(path))
                .is_file()
        };
        let mut files = uefi.code.iter().chain([&uefi.vars]);
        files.all(|flash| is_file(&flash.path))
    }

    fn not_found(&self, secure: bool) -> String {
        let directories: Vec<String> = self
            .directories
            .iter()
            .map(|dir| dir.display().to_string())
            .collect();
        let directories = directories.join(", ");
        let (kind, features) = if secure {
            (
                "UEFI firmware that enforces Secure Boot",
                "with secure-boot and enrolled-keys ",
            )
        } else {
            ("UEFI firmware", "")
        };
        let (arch, packages) = (self.arch.name(), places::packages(self.arch, secure));
        let any = if self.machine.ends_with('-') { "*" } else { "" };
        let looked = if self.descriptors.is_empty() {
            format!("no descriptor of any in {directories}, nor files where distributions put them")
        } else {
            format!("no descriptor of one {features}in {directories}, with files that are there")
        };
        format!(
            "this host has no {kind} for {arch} machines of type {}{any} ({looked}); install the package {packages}",
            self.machine
        )
    }
}

/// What a machine needs for it. None if it is not in flash memory, or forgets variables (machines keep theirs until they end).
fn usable(firmware: &Descriptor) -> Option<Uefi> {
    let Mapping::Flash {
        mode,
        executable,
        nvram_template,
    } = &firmware.mapping
    else {
        return None;
    };
    let (code, vars) = match mode {
        FlashMode::Split => (Some(executable.clone()), nvram_template.clone()?),
        FlashMode::Combined => (None, executable.clone()),
        FlashMode::Stateless | FlashMode::Other => return None,
    };
    Some(Uefi {
        code,
        vars,
        smm: firmware.has("requires-smm"),
    })
}

#[cfg(test)]
#[path = "find_tests.rs"]
mod tests;
