//! Live ISOs. Ids and the boot order are kola's: disks come first, and an empty one is passed over.

use kolea_model::CdBus;

use super::args::{Args, with_path};
use crate::iso::Cd;

/// After all disks.
const BOOT_INDEX: &str = "bootindex=3";

impl Args {
    /// The ISO that the machine boots from.
    pub fn cd(&mut self, cd: &Cd) {
        self.add(
            "-drive",
            with_path(
                "if=none,id=installiso,format=raw,readonly=on,file=",
                cd.file.as_os_str(),
            ),
        );
        let virtio_disk = self.arch.virtio("blk");
        let device = match cd.drive {
            None | Some(CdBus::Virtio) => virtio_disk,
            Some(CdBus::Ide) => "ide-cd".to_owned(),
            Some(CdBus::Scsi) => {
                self.add(
                    "-device",
                    format!("{},id=scsi_cd", self.arch.virtio("scsi")),
                );
                "scsi-cd,bus=scsi_cd.0".to_owned()
            }
        };
        self.add("-device", format!("{device},drive=installiso,{BOOT_INDEX}"));
    }

    /// kola's port for tests of ISOs.
    pub fn completion(&mut self, fd: i32) {
        self.pipe("completion", fd);
        self.add(
            "-device",
            "virtserialport,chardev=completion,name=testisocompletion",
        );
    }
}

#[cfg(test)]
mod tests {
    use super::super::shell_quoted;
    use super::*;
    use crate::arch::Arch;

    fn line(arch: Arch, drive: Option<CdBus>) -> String {
        let mut args = Args::new(arch);
        args.cd(&Cd {
            file: "/w/live,1.iso".into(),
            drive,
        });
        shell_quoted("q".as_ref(), &args.words)
    }

    #[test]
    fn a_cd_is_reached_as_the_profile_says_and_a_disk_is_a_virtio_one() {
        const FILE: &str =
            "q -drive if=none,id=installiso,format=raw,readonly=on,file=/w/live,,1.iso -device ";
        let x86_64 = |drive| line(Arch::X86_64, drive);
        assert_eq!(
            x86_64(Some(CdBus::Scsi)),
            format!(
                "{FILE}virtio-scsi-pci,id=scsi_cd -device scsi-cd,bus=scsi_cd.0,drive=installiso,bootindex=3"
            )
        );
        assert_eq!(
            x86_64(Some(CdBus::Ide)),
            format!("{FILE}ide-cd,drive=installiso,bootindex=3")
        );
        let disk = format!("{FILE}virtio-blk-pci,drive=installiso,bootindex=3");
        assert_eq!(x86_64(None), disk);
        assert_eq!(x86_64(Some(CdBus::Virtio)), disk);
        assert!(line(Arch::S390x, Some(CdBus::Scsi)).contains("virtio-scsi-ccw,id=scsi_cd"));
    }
}
