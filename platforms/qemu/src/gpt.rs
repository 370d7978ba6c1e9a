//! The partitions of an image, by its GPT.
//!
//! `qemu-img dd` reads any part of a disk of any format.

use std::ffi::OsString;
use std::fmt;
use std::path::Path;

use crate::image::Image;
use crate::tools;

/// LBA 0 to 33 with sectors of 512 bytes, 0 to 5 with sectors of 4096: protective MBR, GPT header and 128 entries.
const TABLE: u64 = 24 << 10;
/// Sizes of sectors, in bytes.
const SECTORS: [usize; 2] = [512, 4096];

/// A partition.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Partition {
    /// Its number, from 1.
    pub number: usize,
    /// Its name; may be empty.
    pub name: String,
    /// What it is for, as GPT stores it.
    pub type_guid: [u8; 16],
    /// Where it begins, in bytes.
    pub start: u64,
    /// Its size, in bytes.
    pub size: u64,
}

impl fmt::Display for Partition {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = if self.name.is_empty() {
            "without a name"
        } else {
            &self.name
        };
        write!(out, "{} {name}", self.number)
    }
}

/// The beginning of the image's disk, with its partition table.
pub async fn table(image: &Image, qemu_img: &Path) -> Option<Vec<u8>> {
    let length = TABLE.min(image.virtual_size / 512 * 512);
    read(image, 0, length, qemu_img).await
}

/// The size of the sectors that a partition table is made for, in bytes; none where there is no GPT.
pub fn sector_size(start: &[u8]) -> Option<usize> {
    SECTORS
        .into_iter()
        .find(|sector| start.get(*sector..sector + 8) == Some(b"EFI PART"))
}

/// The partitions of an image; none if it has no GPT, or cannot be read.
pub async fn partitions(image: &Image, qemu_img: &Path) -> Option<Vec<Partition>> {
    parse(&table(image, qemu_img).await?)
}

/// The partitions of a disk that begins like this. The size of its sectors is where the header says.
pub fn parse(start: &[u8]) -> Option<Vec<Partition>> {
    let sector = sector_size(start)?;
    let header = start.get(sector..)?;
    let first = usize::try_from(u64_at(header, 72)?)
        .ok()?
        .checked_mul(sector)?;
    let count = usize::try_from(u32_at(header, 80)?).ok()?;
    let size = usize::try_from(u32_at(header, 84)?).ok()?.max(128);
    let entries = start.get(first..)?.chunks_exact(size).take(count);
    let partitions = (1..).zip(entries).filter_map(|(number, entry)| {
        let type_guid: [u8; 16] = entry.get(..16)?.try_into().ok()?;
        if type_guid == [0; 16] {
            return None;
        }
        let sector = u64::try_from(sector).ok()?;
        let (begin, end) = (u64_at(entry, 32)?, u64_at(entry, 40)?);
        Some(Partition {
            number,
            name: name(entry.get(56..128)?),
            type_guid,
            start: begin.checked_mul(sector)?,
            size: end
                .checked_sub(begin)?
                .checked_add(1)?
                .checked_mul(sector)?,
        })
    });
    Some(partitions.collect())
}

fn name(utf16: &[u8]) -> String {
    let units = utf16
        .chunks_exact(2)
        .map(|pair| u16::from_le_bytes([pair[0], pair[1]]))
        .take_while(|unit| *unit != 0);
    char::decode_utf16(units)
        .map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER))
        .filter(|c| !c.is_control())
        .collect()
}

fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_le_bytes(bytes.get(at..at + 8)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

/// Reads `length` bytes of the guest's disk at `offset`; both are multiples of 512.
pub async fn read(image: &Image, offset: u64, length: u64, qemu_img: &Path) -> Option<Vec<u8>> {
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
        .map(OsString::from)
        .to_vec();
    args.extend(options.map(OsString::from));
    for (name, path) in [("if=", image.path.as_path()), ("of=", target.path())] {
        let mut arg = OsString::from(name);
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
pub mod testing {
    //! Tables for tests.

    /// The start of a disk with these partitions: name, type, first and last sector.
    pub fn table(sector: usize, partitions: &[(&str, [u8; 16], u64, u64)]) -> Vec<u8> {
        let mut table = vec![0; 24 << 10];
        table[sector..sector + 8].copy_from_slice(b"EFI PART");
        table[sector + 72..sector + 80].copy_from_slice(&2u64.to_le_bytes());
        table[sector + 80..sector + 84].copy_from_slice(&128u32.to_le_bytes());
        table[sector + 84..sector + 88].copy_from_slice(&128u32.to_le_bytes());
        for (index, (name, kind, first, last)) in partitions.iter().enumerate() {
            let entry = &mut table[2 * sector + index * 128..][..128];
            entry[..16].copy_from_slice(kind);
            entry[32..40].copy_from_slice(&first.to_le_bytes());
            entry[40..48].copy_from_slice(&last.to_le_bytes());
            for (at, unit) in name.encode_utf16().enumerate() {
                entry[56 + 2 * at..58 + 2 * at].copy_from_slice(&unit.to_le_bytes());
            }
        }
        table
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::testing::table;
    use super::*;

    #[test]
    fn both_sizes_of_sectors_are_understood() {
        for sector in [512, 4096] {
            let table = table(
                sector,
                &[
                    ("boot", [7; 16], 8, 15),
                    ("", [0; 16], 0, 0),
                    ("", [1; 16], 16, 16),
                ],
            );
            let partitions = parse(&table).unwrap();
            let sector = sector as u64;
            assert_eq!(partitions.len(), 2);
            let boot = &partitions[0];
            assert_eq!((boot.number, boot.name.as_str()), (1, "boot"));
            assert_eq!((boot.start, boot.size), (8 * sector, 8 * sector));
            assert_eq!(partitions[1].to_string(), "3 without a name");
        }
    }

    #[test]
    fn garbage_has_no_partition() {
        assert_eq!(parse(b""), None);
        assert_eq!(parse(&[0xff; 20_000]), None);
        let mut table = vec![0xff; 20_000];
        table[512..520].copy_from_slice(b"EFI PART");
        assert_eq!(parse(&table), None);
    }

    proptest! {
        #[test]
        fn anything_may_be_in_a_table(bytes in proptest::collection::vec(any::<u8>(), 0..2048), sector in 0..2usize) {
            let mut disk = vec![0; 24 << 10];
            let at = SECTORS[sector];
            disk[at..at + bytes.len()].copy_from_slice(&bytes);
            disk[at..at + 8].copy_from_slice(b"EFI PART");
            let _ = parse(&disk);
        }
    }
}
