//! The boot catalog, by which firmware finds what to boot from a CD.

use serde::Serialize;

use crate::error::IsoError;
use crate::volume::{Iso, SECTOR, u32_at};

/// The catalogs of real images have one sector.
const CATALOG: u64 = 2048;
const ENTRY: usize = 32;
const UEFI: u8 = 0xef;

/// The boot catalog.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootCatalog {
    /// Where it is, in bytes.
    pub offset: u64,
    /// What can be booted.
    pub entries: Vec<BootEntry>,
}

/// Something that can be booted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct BootEntry {
    /// The firmware it is for: `BIOS`, `UEFI`, `PowerPC`, `Mac`, or the number of another.
    pub platform: String,
    /// Whether it is to be booted.
    pub bootable: bool,
    /// Whether it is emulated as another medium: `none`, `floppy`, `disk`.
    pub emulation: &'static str,
    /// Where it is, in bytes.
    pub offset: u64,
    /// How much firmware loads, in bytes; a UEFI takes all of the file whatever this says.
    pub load_size: u64,
    /// The file that is there.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub file: Option<String>,
}

impl Iso {
    /// The boot catalog, if there is one. The files of its entries are left out.
    ///
    /// # Errors
    /// It is damaged or can't be read.
    pub fn boot_catalog(&self) -> Result<Option<BootCatalog>, IsoError> {
        let Some(record) = self.boot_record() else {
            return Ok(None);
        };
        let what = "the boot catalog";
        let bytes = self.read(what, record.catalog, CATALOG)?;
        let mut fields = bytes.chunks_exact(ENTRY);
        let first = fields.next().unwrap_or_default();
        let sum = first.chunks_exact(2).fold(0_u16, |sum, word| {
            sum.wrapping_add(u16::from_le_bytes([word[0], word[1]]))
        });
        if first.first() != Some(&1) || !first.ends_with(&[0x55, 0xaa]) || sum != 0 {
            return Err(IsoError::damaged(what, "its first entry is invalid"));
        }
        let mut entries = Vec::new();
        // The default entry belongs to the platform of the validation entry; the others to that of their section.
        let mut platform = first[1];
        entries.extend(fields.next().and_then(|field| entry(platform, field)));
        let mut left = 0;
        for field in fields {
            match field[0] {
                0x90 | 0x91 if left == 0 => {
                    platform = field[1];
                    left = u16::from_le_bytes([field[2], field[3]]);
                }
                // An extension of the entry before it.
                0x44 => {}
                _ if left > 0 => {
                    left -= 1;
                    entries.extend(entry(platform, field));
                }
                _ => break,
            }
        }
        Ok(Some(BootCatalog {
            offset: record.catalog,
            entries,
        }))
    }
}

fn entry(platform: u8, field: &[u8]) -> Option<BootEntry> {
    let bootable = match field[0] {
        0x88 => true,
        0 if field.iter().any(|byte| *byte != 0) => false,
        _ => return None,
    };
    Some(BootEntry {
        platform: match platform {
            0 => "BIOS".to_owned(),
            1 => "PowerPC".to_owned(),
            2 => "Mac".to_owned(),
            UEFI => "UEFI".to_owned(),
            other => format!("{other:#x}"),
        },
        bootable,
        emulation: match field[1] & 0xf {
            0 => "none",
            1..=3 => "floppy",
            _ => "disk",
        },
        offset: u64::from(u32_at(field, 8)) * SECTOR,
        load_size: u64::from(u16::from_le_bytes([field[6], field[7]])) * 512,
        file: None,
    })
}
