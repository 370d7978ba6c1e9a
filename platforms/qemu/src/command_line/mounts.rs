//! Directories of the host.

use kolea_model::HostMount;

use super::args::{Args, with_path};
use crate::hardware::Devices;
use crate::mounts::{self, Transport};

impl Args {
    /// Directories of the host. What the guest may do with them is decided here and by virtiofsd, not by how it mounts them.
    pub fn mounts(&mut self, mounts: &[HostMount], devices: &Devices) {
        let Some(transport) = devices.transport else {
            return;
        };
        for (index, mount) in mounts.iter().enumerate() {
            let (device, tag) = match transport {
                Transport::Virtiofs => {
                    let Some(fd) = devices.mounts.get(index) else {
                        continue;
                    };
                    self.add("-chardev", format!("socket,id=mount{index},fd={fd}"));
                    let bus = self.arch.bus();
                    (
                        format!("vhost-user-fs-{bus},queue-size=1024,chardev=mount"),
                        "tag",
                    )
                }
                Transport::NineP => {
                    let readonly = if mount.writable { "" } else { ",readonly=on" };
                    let options = format!(
                        "local,id=mount{index},security_model=none{readonly},multidevs=remap,path="
                    );
                    self.add("-fsdev", with_path(&options, mount.host.as_os_str()));
                    let device = self.arch.virtio("9p");
                    (format!("{device},fsdev=mount"), "mount_tag")
                }
            };
            let options = format!("{device}{index},{tag}=");
            let name = mounts::tag(index, mount);
            self.add("-device", with_path(&options, name.as_ref()));
        }
    }
}
