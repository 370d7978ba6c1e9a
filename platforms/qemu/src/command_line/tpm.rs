//! The TPM.

use super::args::Args;

impl Args {
    /// A TPM 2.0 that a process emulates, given the number of the connected socket that controls it.
    pub fn tpm(&mut self, socket: i32) {
        let Some(device) = self.arch.tpm_device() else {
            return;
        };
        self.add("-chardev", format!("socket,id=chrtpm,fd={socket}"));
        self.add("-tpmdev", "emulator,id=tpm0,chardev=chrtpm");
        self.add("-device", format!("{device},tpmdev=tpm0"));
    }
}
