//! How the guest gets its first boot's config.

use std::path::PathBuf;

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
    /// Makes the config visible to the guest.
    pub fn config(&mut self, config: &Config) {
        match config {
            Config::Inside => {}
            Config::FwCfg(path) => self.add(
                "-fw_cfg",
                with_path("name=opt/com.coreos/config,file=", path.as_os_str()),
            ),
            Config::VirtioBlk(path) => {
                self.add(
                    "-drive",
                    with_path(
                        "if=none,id=ignition,format=raw,readonly=on,file=",
                        path.as_os_str(),
                    ),
                );
                let device = self.arch.virtio("blk");
                self.add(
                    "-device",
                    format!("{device},serial=ignition,drive=ignition"),
                );
            }
        }
    }
}
