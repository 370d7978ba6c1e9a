//! The disks of a machine.

use std::path::{Path, PathBuf};

use kolea_machine::MachineError;
use kolea_model::{DiskChannel, DiskSpec, MachineSpec, Sectors};

use crate::boot::{self, Edits};
use crate::disk::{Backing, create_disk, create_overlay};
use crate::files::names;
use crate::hardware::Origin;
use crate::launch::Common;
use crate::steps::Steps;

/// A disk of a machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Drive {
    /// Its number, from 1, in the order in which the guest finds them: tests know disks by it.
    pub number: usize,
    /// Whether the guest boots from it.
    pub primary: bool,
    /// Whether the firmware tries to boot from it: a disk that somebody installs to, as well.
    pub bootable: bool,
    /// What it is like.
    pub spec: DiskSpec,
    /// The qcow2 file.
    pub file: PathBuf,
    /// The sockets to what serves the file, one for each path that the guest has to it, by their numbers in QEMU; none where
    /// QEMU itself opens the file.
    pub paths: Vec<i32>,
}

/// A machine's disks, with the names of their files. Kola's numbering: the primary disk comes last. What boots from an ISO has none.
fn drives(spec: &MachineSpec, files: &Path) -> Vec<Drive> {
    let additional = spec.disks.iter().map(|disk| (disk, false));
    let primary = spec
        .boot_from
        .is_none()
        .then_some((&spec.primary_disk, true));
    let all = additional.chain(primary);
    (1..)
        .zip(all)
        .map(|(number, (disk, primary))| Drive {
            number,
            primary,
            // kola's order: what is installed to disk 1 comes before the ISO.
            bootable: primary || spec.boot_from.is_some() && number == 1,
            spec: disk.clone(),
            file: files.join(if primary {
                names::DISK.to_owned()
            } else {
                names::additional_disk(number)
            }),
            paths: Vec::new(),
        })
        .collect()
}

/// Makes the disks of a machine in the directory of its files. What has several paths is not served yet.
pub async fn make(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    files: &Path,
    steps: &Steps,
) -> Result<Vec<Drive>, MachineError> {
    let drives = drives(spec, files);
    let make = async {
        for drive in &drives {
            make_file(common, spec, origin, drive).await?;
        }
        Ok(())
    };
    steps.time("overlay", make).await?;
    if let Origin::Image = origin {
        let primary = drives.iter().filter(|drive| drive.primary);
        for drive in primary {
            boot::edit(common, &Edits::of(spec), &drive.file, files, steps).await?;
        }
    }
    Ok(drives)
}

async fn make_file(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    drive: &Drive,
) -> Result<(), MachineError> {
    let frozen;
    let (backing, size) = match origin {
        Origin::Image if !drive.primary => {
            let size = drive.spec.size_gib.unwrap_or(1) << 30;
            return create_disk(&common.qemu_img, size, &drive.file).await;
        }
        Origin::Image => {
            let wanted = common.disk_size(spec);
            let backing = Backing {
                path: &common.image.path,
                format: &common.image.format,
            };
            (
                backing,
                (wanted > common.image.virtual_size).then_some(wanted),
            )
        }
        Origin::Template(dir) => {
            frozen = dir.join(drive.file.file_name().unwrap_or_default());
            let backing = Backing {
                path: &frozen,
                format: "qcow2",
            };
            (backing, None)
        }
    };
    create_overlay(&common.qemu_img, backing, size, &drive.file).await
}

/// What the primary disk of a machine is like: what its test says, and where that leaves something open, the run's flags. The
/// size is decided elsewhere.
pub fn primary_disk(asked: Option<&DiskSpec>, run: &DiskSpec) -> DiskSpec {
    let mut disk = asked.cloned().unwrap_or_default();
    disk.size_gib = None;
    if disk.channel == DiskChannel::default() && !disk.multipath {
        disk.channel = run.channel;
    }
    // Paths are always SCSI.
    disk.multipath |= run.multipath && disk.channel != DiskChannel::Nvme;
    // An image that is laid out for sectors of 4096 bytes boots from no others, whatever a test says.
    if disk.sectors == Sectors::default() || run.sectors == Sectors::Native4k {
        disk.sectors = run.sectors;
    }
    disk
}

#[cfg(test)]
mod tests {
    use super::*;

    fn disk(text: &str) -> DiskSpec {
        DiskSpec::parse_primary(text).unwrap()
    }

    #[test]
    fn additional_disks_come_first_and_have_files_of_their_own() {
        let spec = MachineSpec {
            disks: vec![disk("1G"), disk("2G:mpath")],
            ..MachineSpec::default()
        };
        let drives = drives(&spec, Path::new("/f"));
        let seen: Vec<_> = drives
            .iter()
            .map(|drive| (drive.number, drive.primary, drive.file.to_str().unwrap()))
            .collect();
        let expected = [
            (1, false, "/f/disk-1.qcow2"),
            (2, false, "/f/disk-2.qcow2"),
            (3, true, "/f/disk.qcow2"),
        ];
        assert_eq!(seen, expected);
    }

    #[test]
    fn what_boots_from_an_iso_has_no_primary_disk_and_boots_what_is_installed() {
        let spec = MachineSpec {
            boot_from: Some(kolea_model::BootFrom::Iso),
            disks: vec![disk("1G"), disk("2G")],
            ..MachineSpec::default()
        };
        let drives = drives(&spec, Path::new("/f"));
        let seen: Vec<_> = drives
            .iter()
            .map(|drive| (drive.number, drive.primary, drive.bootable))
            .collect();
        assert_eq!(seen, [(1, false, true), (2, false, false)]);
    }

    #[test]
    fn a_tests_primary_disk_comes_before_the_flags() {
        for (asked, run, expected) in [
            (None, "", ""),
            (None, ":512e,mpath", ":512e,mpath"),
            (Some(""), ":channel=nvme", ":channel=nvme"),
            (Some("20G"), ":channel=nvme,4k", ":channel=nvme,4k"),
            (Some(":channel=scsi"), ":channel=nvme", ":channel=scsi"),
            (Some(":mpath"), ":channel=nvme", ":mpath"),
            (Some(":channel=nvme"), ":mpath,512e", ":channel=nvme,512e"),
            (Some(":channel=scsi"), ":mpath", ":channel=scsi,mpath"),
            (Some(":512e,wwn=7"), ":mpath", ":512e,mpath,wwn=7"),
            (Some(":4k"), ":512e", ":4k"),
            (Some(":512e"), ":4k", ":4k"),
        ] {
            let asked = asked.map(disk);
            let disk = primary_disk(asked.as_ref(), &disk(run));
            assert_eq!(disk.to_string(), expected, "{asked:?} {run}");
        }
    }
}
