//! For which architecture is the boot loader in the image's EFI system partition?
//!
//! The loader is found by its name in a directory of the FAT file system, whose entries are aligned to 32 bytes.
//! Directories are made before large files, so the partition's first megabytes hold them. Images without such a partition
//! are not judged.

use std::path::Path;

use crate::arch::Arch;
use crate::gpt::{self, Partition};
use crate::image::Image;

/// `c12a7328-f81f-11d2-ba4b-00a0c93ec93b` as GPT stores it.
pub const TYPE_GUID: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];

/// How much of the partition is looked at.
const LOOK_AT: u64 = 8 << 20;

/// The architecture that the image is for if it certainly is not for `arch`. When in doubt, `None`.
pub async fn other_architecture(
    image: &Image,
    partitions: &[Partition],
    arch: Arch,
    qemu_img: &Path,
) -> Option<Arch> {
    let esp = partitions
        .iter()
        .find(|partition| partition.type_guid == TYPE_GUID)?;
    let partition = gpt::read(image, esp.start, esp.size.min(LOOK_AT), qemu_img).await?;
    let has = |arch: Arch| {
        arch.efi_loader().is_some_and(|loader| {
            partition
                .chunks_exact(32)
                .any(|entry| entry.starts_with(loader))
        })
    };
    if has(arch) {
        None
    } else {
        arch.others().find(|other| has(*other))
    }
}
