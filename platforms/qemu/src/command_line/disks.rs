//! Disks. Their order, ids and serial numbers are kola's.

use kolea_model::{DiskChannel, Sectors};

use super::args::{Args, with_path};
use crate::drives::Drive;

/// What all drives have: nobody else uses their files, and after a crash of the host nobody misses what is in them.
const CACHE: &str = "auto-read-only=off,cache=unsafe,discard=unmap";

impl Args {
    /// A disk and how the guest reaches it.
    pub fn drive(&mut self, drive: &Drive) {
        if drive.spec.multipath {
            self.paths(drive);
            return;
        }
        let number = drive.number;
        let id = format!("disk-{number}");
        let options = options(drive, 0);
        match drive.spec.channel {
            DiskChannel::Virtio => {
                self.add(
                    "-device",
                    format!("{},drive={id}{options}", self.arch.virtio("blk")),
                );
            }
            DiskChannel::Nvme => self.add("-device", format!("nvme,drive={id}{options}")),
            DiskChannel::Scsi => {
                self.add(
                    "-device",
                    format!("{},id=scsi_{number}", self.arch.virtio("scsi")),
                );
                let wwn = wwn(drive);
                self.add(
                    "-device",
                    format!("scsi-hd,bus=scsi_{number}.0,drive={id},wwn={wwn}{options}"),
                );
            }
        }
        let file = format!("if=none,id={id},format=qcow2,{CACHE},file=");
        let mut file = with_path(&file, drive.file.as_os_str());
        if let Some(options) = self.drive_options.as_ref().filter(|_| drive.primary) {
            file.push(",");
            file.push(options);
        }
        self.add("-drive", file);
    }

    /// A disk that the guest reaches on several paths, each with a controller of its own.
    fn paths(&mut self, drive: &Drive) {
        let wwn = wwn(drive);
        for (index, socket) in drive.paths.iter().enumerate() {
            let id = format!("mpath{}{index}", drive.number);
            let options = options(drive, index);
            self.add(
                "-device",
                format!("{},id=scsi_{id}", self.arch.virtio("scsi")),
            );
            // multipath-tools go by the WWN where the vendor is NVME.
            self.add(
                "-device",
                format!(
                    "scsi-hd,bus=scsi_{id}.0,drive={id},vendor=NVME,product=VirtualMultipath,wwn={wwn}{options}"
                ),
            );
            self.add(
                "-drive",
                format!(
                    "if=none,id={id},format=raw,file.driver=nbd,file.server.type=fd,file.server.str={socket},{CACHE}"
                ),
            );
        }
    }
}

/// The options of a disk's device, the same for all kinds of devices. `path`: of several ways to the disk, which.
fn options(drive: &Drive, path: usize) -> String {
    let spec = &drive.spec;
    let serial = match &spec.serial {
        _ if drive.primary => "primary-disk",
        Some(serial) => serial,
        None => &format!("disk{}", drive.number),
    };
    let mut options = format!(",serial={serial}");
    if spec.sectors != Sectors::default() {
        let (physical, logical) = (spec.sectors.physical(), spec.sectors.logical());
        options.push_str(&format!(
            ",physical_block_size={physical},logical_block_size={logical}"
        ));
    }
    if drive.bootable {
        options.push_str(&format!(",bootindex={}", path + 1));
    }
    // When the host's disk is full the machine is paused and an event says so; any other write error is the guest's to see.
    // NVMe reports all of them to the guest.
    if spec.multipath || spec.channel != DiskChannel::Nvme {
        options.push_str(",werror=enospc");
    }
    options
}

/// The WWN of a SCSI disk: kola takes a random one if none is given (or 0), which a clone could not have again. This is one of
/// those that anybody may assign (NAA 3).
fn wwn(drive: &Drive) -> u64 {
    let number = u64::try_from(drive.number).unwrap_or_default();
    let given = drive.spec.wwn.filter(|wwn| *wwn != 0);
    given.unwrap_or((0x3 << 60) | number)
}

#[cfg(test)]
mod tests {
    use kolea_model::DiskSpec;

    use super::super::shell_quoted;
    use super::*;
    use crate::arch::Arch;

    /// The arguments of disks, the last of which is the primary one. Descriptors of sockets count from 8.
    fn line(disks: &[&str]) -> String {
        line_on(Arch::X86_64, disks)
    }

    fn line_on(arch: Arch, disks: &[&str]) -> String {
        let mut args = Args::new(arch);
        let mut socket = 8..;
        for (index, disk) in disks.iter().enumerate() {
            let spec = DiskSpec::parse_primary(disk).unwrap();
            let served = if spec.multipath { 2 } else { 0 };
            args.drive(&Drive {
                number: index + 1,
                primary: index + 1 == disks.len(),
                bootable: index + 1 == disks.len(),
                file: format!("/w/{},qcow2", index + 1).into(),
                paths: socket.by_ref().take(served).collect(),
                spec,
            });
        }
        shell_quoted("q".as_ref(), &args.words)
    }

    #[test]
    fn additional_disks_are_numbered_before_the_primary_one() {
        let drive = |number: u32| {
            format!(
                "-drive if=none,id=disk-{number},format=qcow2,auto-read-only=off,cache=unsafe,discard=unmap,file=/w/{number},,qcow2"
            )
        };
        let expected = [
            "q -device virtio-blk-pci,drive=disk-1,serial=disk1,werror=enospc".to_owned(),
            drive(1),
            "-device virtio-blk-pci,drive=disk-2,serial=target,physical_block_size=4096,logical_block_size=4096,werror=enospc"
                .to_owned(),
            drive(2),
            "-device virtio-blk-pci,drive=disk-3,serial=primary-disk,bootindex=1,werror=enospc".to_owned(),
            drive(3),
        ];
        assert_eq!(line(&["1G", "2G:4k,serial=target", ""]), expected.join(" "));
    }

    #[test]
    fn nvme_disks_have_no_say_in_write_errors() {
        let line = line(&["1G:channel=nvme,512e", ":channel=nvme"]);
        let additional = "-device nvme,drive=disk-1,serial=disk1,physical_block_size=4096,logical_block_size=512 -drive ";
        assert!(line.contains(additional), "{line}");
        let primary = "-device nvme,drive=disk-2,serial=primary-disk,bootindex=1 -drive ";
        assert!(line.contains(primary), "{line}");
    }

    #[test]
    fn scsi_disks_have_a_controller_and_a_wwn_each() {
        let line = line(&["1G:channel=scsi,wwn=123", ":channel=scsi,512e,serial=mine"]);
        let additional = "-device virtio-scsi-pci,id=scsi_1 -device scsi-hd,bus=scsi_1.0,drive=disk-1,wwn=123,serial=disk1,werror=enospc ";
        assert!(line.contains(additional), "{line}");
        let primary = format!(
            "-device virtio-scsi-pci,id=scsi_2 -device scsi-hd,bus=scsi_2.0,drive=disk-2,wwn={},\
             serial=primary-disk,physical_block_size=4096,logical_block_size=512,bootindex=1,werror=enospc ",
            0x3000_0000_0000_0002_u64
        );
        assert!(line.contains(&primary), "{line}");
    }

    #[test]
    fn paths_are_kolas_and_their_sockets_are_inherited() {
        let line = line(&["1G:mpath,wwn=1", ":mpath,4k"]);
        let path = |id: &str, rest: &str, socket: u32| {
            format!(
                "-device virtio-scsi-pci,id=scsi_{id} -device scsi-hd,bus=scsi_{id}.0,drive={id},vendor=NVME,product=VirtualMultipath,\
                 wwn={rest},werror=enospc -drive if=none,id={id},format=raw,file.driver=nbd,file.server.type=fd,\
                 file.server.str={socket},auto-read-only=off,cache=unsafe,discard=unmap"
            )
        };
        let primary = |index: u32| {
            format!(
                "{},serial=primary-disk,physical_block_size=4096,logical_block_size=4096,bootindex={index}",
                0x3000_0000_0000_0002_u64
            )
        };
        let expected = [
            "q".to_owned(),
            path("mpath10", "1,serial=disk1", 8),
            path("mpath11", "1,serial=disk1", 9),
            path("mpath20", &primary(1), 10),
            path("mpath21", &primary(2), 11),
        ];
        assert_eq!(line, expected.join(" "));
    }

    #[test]
    fn virtio_devices_are_on_the_architectures_bus() {
        let disks = ["1G", "1G:channel=nvme", "1G:channel=scsi", ":mpath"];
        let pci = line(&disks);
        assert_eq!(line_on(Arch::Aarch64, &disks), pci);
        let ccw = line_on(Arch::S390x, &disks);
        assert_eq!(ccw.replace("-ccw,", "-pci,"), pci);
        assert_eq!(ccw.matches("-ccw,").count(), 4);
    }

    #[test]
    fn a_wwn_of_nothing_is_none() {
        assert_eq!(
            line(&["1G:channel=scsi,wwn=0", ""]),
            line(&["1G:channel=scsi", ""])
        );
    }
}
