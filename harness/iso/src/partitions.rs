//! The partition tables of an image that boots from a USB stick, too.

use serde::Serialize;

use crate::error::IsoError;
use crate::volume::{Iso, u32_at};

/// The size of a block that these tables count in. isohybrid and xorriso know no other.
const BLOCK: u64 = 512;
/// More partitions than a table of usual size has.
const MAX_PARTITIONS: u32 = 128;

/// The partition tables.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Partitions {
    /// Of the master boot record.
    pub mbr: Vec<MbrPartition>,
    /// Of the GUID partition table.
    pub gpt: Vec<GptPartition>,
}

/// A partition of the master boot record.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MbrPartition {
    /// Its place in the table, from 1.
    pub number: usize,
    /// Whether it is marked active.
    pub active: bool,
    /// Its type; 0xef is an EFI system partition, 0xee stands for a GPT.
    pub kind: u8,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How large it is, in bytes.
    pub size: u64,
}

/// A partition of the GUID partition table.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GptPartition {
    /// Its place in the table, from 1.
    pub number: u32,
    /// Its name.
    pub name: String,
    /// The GUID of its type.
    pub kind: String,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How large it is, in bytes.
    pub size: u64,
}

impl Iso {
    /// The partition tables; empty if there are none.
    ///
    /// # Errors
    /// They can't be read.
    pub fn partitions(&self) -> Result<Partitions, IsoError> {
        let start = self.read("the system area", 0, 2 * BLOCK)?;
        let (mbr, gpt) = start.split_at(BLOCK as usize);
        Ok(Partitions {
            mbr: mbr_partitions(mbr),
            gpt: self.gpt_partitions(gpt)?,
        })
    }

    fn gpt_partitions(&self, header: &[u8]) -> Result<Vec<GptPartition>, IsoError> {
        if !header.starts_with(b"EFI PART") {
            return Ok(Vec::new());
        }
        let (count, size) = (u32_at(header, 80), u32_at(header, 84));
        let offset = u64_at(header, 72).saturating_mul(BLOCK);
        if !(128..=4096).contains(&size) {
            return Ok(Vec::new());
        }
        let count = count.min(MAX_PARTITIONS);
        let what = "the GUID partition table";
        let table = self.read(what, offset, u64::from(count) * u64::from(size))?;
        let partitions = (1..)
            .zip(table.chunks_exact(size as usize))
            .filter(|(_, entry)| entry[..16].iter().any(|byte| *byte != 0))
            .map(|(number, entry)| {
                let (first, last) = (u64_at(entry, 32), u64_at(entry, 40));
                GptPartition {
                    number,
                    name: name(&entry[56..128]),
                    kind: guid(&entry[..16]),
                    offset: first.saturating_mul(BLOCK),
                    size: last
                        .saturating_sub(first)
                        .saturating_add(1)
                        .saturating_mul(BLOCK),
                }
            });
        Ok(partitions.collect())
    }
}

fn mbr_partitions(sector: &[u8]) -> Vec<MbrPartition> {
    if !sector.ends_with(&[0x55, 0xaa]) {
        return Vec::new();
    }
    let entries = sector[446..510].chunks_exact(16);
    (1..)
        .zip(entries)
        .filter(|(_, entry)| entry[4] != 0 || u32_at(entry, 12) != 0)
        // A boot sector of a file system ends the same, and has text here.
        .filter(|(_, entry)| matches!(entry[0], 0 | 0x80))
        .map(|(number, entry)| MbrPartition {
            number,
            active: entry[0] == 0x80,
            kind: entry[4],
            offset: u64::from(u32_at(entry, 8)) * BLOCK,
            size: u64::from(u32_at(entry, 12)) * BLOCK,
        })
        .collect()
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

fn name(utf16: &[u8]) -> String {
    let units = utf16
        .chunks_exact(2)
        .map(|unit| u16::from_le_bytes([unit[0], unit[1]]))
        .take_while(|unit| *unit != 0);
    char::decode_utf16(units)
        .map(|c| c.ok().filter(|c| !c.is_control()).unwrap_or('_'))
        .collect()
}

/// The first three parts of a GUID are little-endian numbers.
fn guid(bytes: &[u8]) -> String {
    let number = |range: std::ops::Range<usize>, reversed: bool| -> String {
        let hex = |byte: &u8| format!("{byte:02X}");
        if reversed {
            bytes[range].iter().rev().map(hex).collect()
        } else {
            bytes[range].iter().map(hex).collect()
        }
    };
    [
        number(0..4, true),
        number(4..6, true),
        number(6..8, true),
        number(8..10, false),
        number(10..16, false),
    ]
    .join("-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guids_and_names_are_shown_as_usual() {
        let esp = [
            0x28, 0x73, 0x2a, 0xc1, 0x1f, 0xf8, 0xd2, 0x11, 0xba, 0x4b, 0x00, 0xa0, 0xc9, 0x3e,
            0xc9, 0x3b,
        ];
        assert_eq!(guid(&esp), "C12A7328-F81F-11D2-BA4B-00A0C93EC93B");
        assert_eq!(name(b"A\0\xe4\0\n\0\0\0x\0"), "Aä_");
    }

    #[test]
    fn a_boot_sector_without_a_table_has_no_partitions() {
        assert_eq!(mbr_partitions(&[0; 512]), []);
        let mut sector = [b'x'; 512];
        sector[510..].copy_from_slice(&[0x55, 0xaa]);
        assert_eq!(mbr_partitions(&sector), []);
    }
}
