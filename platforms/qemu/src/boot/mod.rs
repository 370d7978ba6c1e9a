//! Kernel arguments (`appendKernelArgs`, `appendFirstbootKernelArgs`), and whatever else has to be on the boot file system before
//! the machine starts.
//!
//! They are written into the machine's overlay, with e2fsprogs' `debugfs` on a copy of the boot partition and `qemu-io`: neither
//! root nor a mount nor FUSE is needed, nor a machine to do it in. The image stays as it is.

mod debugfs;
mod edit;
mod error;
mod loader;
mod partition;
mod sparse;

use std::path::Path;

use kolea_machine::MachineError;

pub use edit::Edits;
pub use error::BootError;
pub use partition::BootPartition;

use error::Fault;

use crate::arch::Arch;
use crate::launch::Common;
use crate::steps::Steps;

/// The boot file system of the run's image, which is looked for once. `temp`: a directory with room for its contents.
pub async fn partition<'a>(
    common: &'a Common,
    temp: &Path,
) -> Result<&'a BootPartition, BootError> {
    if common.arch == Arch::S390x {
        let message = "zipl would have to be run again in the image, which only s390x can do";
        return Err(Fault::Layout(message.to_owned()).on(&common.image.path));
    }
    let open = || BootPartition::open(&common.image, &common.qemu_img, temp);
    common.boot.get_or_try_init(open).await
}

/// Changes the boot file system on a new overlay, if there is something to change. `files`: the machine's directory.
pub async fn edit(
    common: &Common,
    edits: &Edits,
    overlay: &Path,
    files: &Path,
    steps: &Steps,
) -> Result<(), MachineError> {
    if edits.is_empty() {
        return Ok(());
    }
    let edit = async {
        let partition = partition(common, files).await?;
        partition.edit(edits, overlay, files).await
    };
    let edited = steps.time("kernel-args", edit).await;
    edited.map_err(|error| error.of_machine())
}

/// Both arguments, in this order.
pub fn joined(first: Option<&str>, second: Option<&str>) -> Option<String> {
    let given = [first, second].into_iter().flatten().map(str::trim);
    let given: Vec<&str> = given.filter(|args| !args.is_empty()).collect();
    (!given.is_empty()).then(|| given.join(" "))
}

#[cfg(test)]
mod tests;
