//! For which architecture is the boot loader in the image's EFI system partition?
//!
//! `qemu-img dd` reads any part of any format; the partition is found by its GPT entry, and the loader by its name in
//! a directory of the FAT file system, whose entries are aligned to 32 bytes. Directories are made before large files,
//! so the partition's first megabytes hold them. Images without such a partition are not judged.

use std::path::Path;

use crate::arch::Arch;
use crate::image::Image;
use crate::tools;

/// `c12a7328-f81f-11d2-ba4b-00a0c93ec93b` as GPT stores it.
pub const TYPE_GUID: [u8; 16] = [
    0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e, 0xc9, 0x3b,
];

/// How much of the partition is looked at.
const LOOK_AT: u64 = 8 << 20;
/// LBA 0 to 5 of 4096 bytes: protective MBR, GPT header and 128 entries. Sectors of 512 bytes need less.
const TABLE: u64 = 6 * 4096;
/// The sizes of sectors that there are, in bytes.
const SECTORS: [u64; 2] = [512, 4096];

/// The beginning of the image's disk, with its partition table.
pub async fn table(image: &Image, qemu_img: &Path) -> Option<Vec<u8>> {
    read(image, 0, TABLE, qemu_img).await
}

/// The size of the sectors that a partition table is made for, in bytes; none where there is no GPT.
pub fn sector_size(table: &[u8]) -> Option<u64> {
    SECTORS.into_iter().find(|size| {
        let header = usize::try_from(*size).unwrap_or_default();
        table.get(header..header + 8) == Some(b"EFI PART")
    })
}

/// The architecture that the image is for if it certainly is not for `arch`. When in doubt, `None`.
pub async fn other_architecture(
    image: &Image,
    table: &[u8],
    arch: Arch,
    qemu_img: &Path,
) -> Option<Arch> {
    let (start, length) = find(table)?;
    let partition = read(image, start, length.min(LOOK_AT), qemu_img).await?;
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

/// Offset and length of the EFI system partition, in bytes, from the start of a disk.
fn find(table: &[u8]) -> Option<(u64, u64)> {
    let u64_at = |at: usize| -> Option<u64> {
        Some(u64::from_le_bytes(table.get(at..at + 8)?.try_into().ok()?))
    };
    let u32_at = |at: usize| -> Option<u32> {
        Some(u32::from_le_bytes(table.get(at..at + 4)?.try_into().ok()?))
    };
    let sector = sector_size(table)?;
    let header = usize::try_from(sector).ok()?;
    let first = usize::try_from(u64_at(header + 72)?.checked_mul(sector)?).ok()?;
    let size = usize::try_from(u32_at(header + 84)?).ok()?.max(128);
    let entries = table.get(first..)?.chunks_exact(size);
    let entry = entries
        .take(usize::try_from(u32_at(header + 80)?).ok()?)
        .find(|entry| entry.starts_with(&TYPE_GUID))?;
    let lba = |range: std::ops::Range<usize>| -> Option<u64> {
        Some(u64::from_le_bytes(entry.get(range)?.try_into().ok()?))
    };
    let (start, end) = (lba(32..40)?, lba(40..48)?);
    let sectors = end.checked_sub(start)?.checked_add(1)?;
    Some((start.checked_mul(sector)?, sectors.checked_mul(sector)?))
}

/// Reads `length` bytes of the guest's disk at `offset`; both are multiples of 512.
async fn read(image: &Image, offset: u64, length: u64, qemu_img: &Path) -> Option<Vec<u8>> {
    let target = tempfile::NamedTempFile::new().ok()?;
    // The largest blocks that both are multiples of: dd takes a second for a few MiB in blocks of 512 bytes.
    let block = 1u64 << (offset | length).trailing_zeros().clamp(9, 20);
    let options = [
        format!("bs={block}"),
        format!("skip={}", offset / block),
        // dd counts from the input's start, not from what is skipped.
        format!("count={}", (offset + length) / block),
    ];
    let mut args = ["dd", "-f", &image.format, "-O", "raw"]
        .map(std::ffi::OsString::from)
        .to_vec();
    args.extend(options.map(std::ffi::OsString::from));
    for (name, path) in [("if=", image.path.as_path()), ("of=", target.path())] {
        let mut arg = std::ffi::OsString::from(name);
        arg.push(path);
        args.push(arg);
    }
    let output = tools::output(qemu_img, args).await.ok()?;
    output
        .status
        .success()
        .then(|| std::fs::read(target.path()).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn garbage_has_no_partition() {
        assert_eq!(find(b""), None);
        assert_eq!(find(&[0xff; 20_000]), None);
        let mut table = vec![0xff; 20_000];
        for sector in [512, 4096] {
            assert_eq!(sector_size(&table), None);
            table[sector..sector + 8].copy_from_slice(b"EFI PART");
            assert_eq!(sector_size(&table), u64::try_from(sector).ok());
            assert_eq!(find(&table), None);
            table[sector] = 0;
        }
    }
}
