//! Network interfaces.

use kolea_model::MachineSpec;

use super::args::Args;

impl Args {
    /// All network interfaces.
    pub fn nics(&mut self, spec: &MachineSpec) {
        // Port 0: the kernel picks a free one, and the monitor is asked which.
        let restrict = if spec.internet { "" } else { ",restrict=on" };
        self.add(
            "-netdev",
            format!(
                "user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname={}{restrict}",
                spec.hostname
            ),
        );
        let device = self.arch.virtio("net");
        self.add("-device", format!("{device},netdev=eth0"));
    }
}
