//! Disks.

use super::args::{Args, with_path};
use crate::drives::Drive;

impl Args {
    /// A disk and how the guest reaches it.
    pub fn drive(&mut self, drive: &Drive) {
        // When the host's disk is full the machine is paused and an event says so (werror=enospc); any other write error
        // is the guest's to see.
        let device = self.arch.virtio("blk");
        self.add(
            "-device",
            format!("{device},drive=disk-1,serial=primary-disk,bootindex=1,werror=enospc"),
        );
        self.add(
            "-drive",
            with_path(
                "if=none,id=disk-1,format=qcow2,auto-read-only=off,cache=unsafe,discard=unmap,file=",
                drive.file.as_os_str(),
            ),
        );
    }
}
