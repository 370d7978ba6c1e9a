//! How the guest gets its first boot's config.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kolea_machine::provisioning::credentials::Credential;
use kolea_model::MachineSpec;

use super::args::{Args, with_path};
use crate::arch::Arch;

/// Where a guest finds its first boot's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// An Ignition config in the firmware's configuration device.
    FwCfg(PathBuf),
    /// An Ignition config on a read-only disk, known by its serial number.
    VirtioBlk(PathBuf),
    /// In the image that it boots from, or nowhere.
    Inside,
    /// Credentials among the firmware's strings for vendors (SMBIOS type 11).
    Smbios(Vec<Credential>),
    /// cloud-init's files on a disk.
    Seed(PathBuf),
}

impl Config {
    /// An Ignition config in that file, where such a machine looks for it.
    pub fn ignition(arch: Arch, spec: &MachineSpec, path: PathBuf) -> Config {
        if spec.boot_from.is_some() || spec.console_only {
            Config::Inside
        } else if arch.has_fw_cfg() {
            Config::FwCfg(path)
        } else {
            Config::VirtioBlk(path)
        }
    }
}

impl Args {
    /// Makes the config visible to the guest, unless it is a disk.
    pub fn config(&mut self, config: &Config) {
        match config {
            Config::FwCfg(path) => self.add(
                "-fw_cfg",
                with_path("name=opt/com.coreos/config,file=", path.as_os_str()),
            ),
            Config::VirtioBlk(path) => self.small_disk("ignition", path),
            Config::Smbios(credentials) => {
                for credential in credentials {
                    let value = STANDARD.encode(&credential.contents);
                    self.add(
                        "-smbios",
                        format!(
                            "type=11,value=io.systemd.credential.binary:{}={value}",
                            credential.name
                        ),
                    );
                }
            }
            Config::Seed(_) | Config::Inside => {}
        }
    }

    /// A read-only disk, known by its serial number.
    pub fn small_disk(&mut self, name: &str, path: &Path) {
        self.add(
            "-drive",
            with_path(
                &format!("if=none,id={name},format=raw,readonly=on,file="),
                path.as_os_str(),
            ),
        );
        let device = self.arch.virtio("blk");
        self.add("-device", format!("{device},serial={name},drive={name}"));
    }
}
