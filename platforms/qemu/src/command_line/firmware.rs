//! Firmware.

use super::args::{Args, with_path};
use crate::arch::FirmwareFiles;

impl Args {
    /// The flash memory that UEFI is in: its code, and the machine's own variables.
    pub fn firmware(&mut self, firmware: &FirmwareFiles) {
        self.add(
            "-drive",
            with_path(
                "if=pflash,unit=0,format=raw,readonly=on,file=",
                firmware.code.as_os_str(),
            ),
        );
        self.add(
            "-drive",
            with_path(
                "if=pflash,unit=1,format=raw,file=",
                firmware.vars.as_os_str(),
            ),
        );
    }
}
