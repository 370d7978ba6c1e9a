//! How the guest gets its first boot's config.

use std::path::PathBuf;

use super::args::{Args, with_path};

/// Where a guest finds its first boot's config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Config {
    /// An Ignition config in the firmware's configuration device.
    FwCfg(PathBuf),
}

impl Args {
    /// Makes the config visible to the guest.
    pub fn config(&mut self, config: &Config) {
        match config {
            Config::FwCfg(path) => self.add(
                "-fw_cfg",
                with_path("name=opt/com.coreos/config,file=", path.as_os_str()),
            ),
        }
    }
}
