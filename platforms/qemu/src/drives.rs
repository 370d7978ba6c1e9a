//! The disks of a machine.

use std::path::{Path, PathBuf};

use kolea_machine::MachineError;
use kolea_model::{DiskSpec, MachineSpec};

use crate::disk::{Backing, create_overlay};
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
    /// What it is like.
    pub spec: DiskSpec,
    /// The qcow2 overlay.
    pub file: PathBuf,
}

/// Makes the disks of a machine in the directory of its files.
pub async fn make(
    common: &Common,
    spec: &MachineSpec,
    origin: Origin<'_>,
    files: &Path,
    steps: &Steps,
) -> Result<Vec<Drive>, MachineError> {
    let frozen;
    let (backing, size) = match origin {
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
            frozen = dir.join(names::DISK);
            let backing = Backing {
                path: &frozen,
                format: "qcow2",
            };
            (backing, None)
        }
    };
    let file = files.join(names::DISK);
    steps
        .time(
            "overlay",
            create_overlay(&common.qemu_img, backing, size, &file),
        )
        .await?;
    Ok(vec![Drive {
        number: 1,
        primary: true,
        spec: spec.primary_disk.clone(),
        file,
    }])
}
