//! Firmware.

use super::args::{Args, with_path};
use crate::firmware::{Flash, Uefi};

impl Args {
    /// The flash memory that UEFI is in: its code, and the machine's own variables.
    pub fn firmware(&mut self, firmware: &Uefi) {
        if firmware.smm {
            // Only the firmware may write to flash memory, and sleep, which would go around it, is off.
            self.add("-global", "driver=cfi.pflash01,property=secure,value=on");
            self.add("-global", "ICH9-LPC.disable_s3=1");
        }
        let code = firmware.code.iter().map(|flash| (flash, ",readonly=on"));
        let chips = code.chain([(&firmware.vars, "")]);
        for (unit, (flash, mode)) in chips.enumerate() {
            self.flash(unit, flash, mode);
        }
    }

    fn flash(&mut self, unit: usize, flash: &Flash, mode: &str) {
        let format = flash.format.name();
        let options = format!("if=pflash,unit={unit},format={format}{mode},file=");
        self.add("-drive", with_path(&options, flash.path.as_os_str()));
    }
}
