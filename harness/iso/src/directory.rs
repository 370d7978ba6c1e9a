//! Directories: records one after the other, none across the border of a sector.

use serde::Serialize;

use crate::error::IsoError;
use crate::rock_ridge;
use crate::source::ReadAt;
use crate::volume::{SECTOR, u32_at};

/// The length of a record before its name.
const FIXED: usize = 33;

/// A file or a directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Entry {
    /// Its name: Rock Ridge's, or else what ISO 9660 has, without the version.
    #[serde(skip)]
    pub name: String,
    /// Its name in ISO 9660, without the version: capitals, and often no more than 8.3 of them.
    #[serde(skip)]
    pub identifier: String,
    /// Its path in the image.
    pub path: String,
    /// Whether it is a directory.
    #[serde(skip)]
    pub is_dir: bool,
    /// Where its contents begin, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

impl Entry {
    /// How well it goes by a name, the smaller the better; not at all if none.
    pub(crate) fn fits(&self, name: &str) -> Option<u8> {
        if self.name == name {
            Some(0)
        } else if self.name.eq_ignore_ascii_case(name) {
            Some(1)
        } else if self.identifier.eq_ignore_ascii_case(name) {
            Some(2)
        } else if self.identifier == short(name) {
            Some(3)
        } else {
            None
        }
    }

    /// Where its last byte is, and one more.
    pub(crate) fn end(&self) -> u64 {
        self.offset.saturating_add(self.size)
    }
}

/// What becomes of a name in an image of interchange level 1: 8.3 capitals.
fn short(name: &str) -> String {
    let plain = |text: &str, most: usize| -> String {
        let plain = |c: char| match c.to_ascii_uppercase() {
            c if c.is_ascii_alphanumeric() => c,
            _ => '_',
        };
        text.chars().map(plain).take(most).collect()
    };
    match name.rsplit_once('.').filter(|(base, _)| !base.is_empty()) {
        Some((base, extension)) => format!("{}.{}", plain(base, 8), plain(extension, 3)),
        None => plain(name, 8),
    }
}

/// The entries of a directory's records. `source` is for names that go on elsewhere.
pub(crate) fn entries(
    records: &[u8],
    parent: &str,
    source: &dyn ReadAt,
) -> Result<Vec<Entry>, IsoError> {
    let damaged = |at: usize, why: &str| {
        IsoError::damaged(
            format!("directory {parent}"),
            format!("record at {at}: {why}"),
        )
    };
    let sector = SECTOR as usize;
    let mut entries: Vec<Entry> = Vec::new();
    let mut continued = false;
    let mut at = 0;
    while let Some(length) = records.get(at).map(|length| usize::from(*length)) {
        if length == 0 {
            // The rest of the sector is empty.
            at = (at / sector + 1) * sector;
            continue;
        }
        let record = records
            .get(at..at + length)
            .ok_or_else(|| damaged(at, "it is cut off"))?;
        if length < FIXED {
            return Err(damaged(at, "it is too short"));
        }
        let name_length = usize::from(record[32]);
        let identifier = record
            .get(FIXED..FIXED + name_length)
            .ok_or_else(|| damaged(at, "its name is cut off"))?;
        let flags = record[25];
        let offset = u64::from(u32_at(record, 2)) * SECTOR;
        let size = u64::from(u32_at(record, 10));
        let here = at;
        at += length;
        // The directory itself, and its parent.
        if matches!(identifier, [0 | 1]) {
            continue;
        }
        if continued {
            let last = entries.last_mut();
            match last.filter(|last| last.end() == offset) {
                Some(last) => last.size += size,
                None => return Err(damaged(here, "the parts of a file are apart")),
            }
        } else {
            let identifier = plain(identifier);
            // The name is padded to an even length of the record.
            let system_use = record.get(FIXED + name_length + (1 - name_length % 2)..);
            let name = rock_ridge::name(system_use.unwrap_or_default(), source)?
                .unwrap_or_else(|| identifier.clone());
            entries.push(Entry {
                path: format!("{}/{name}", parent.trim_end_matches('/')),
                name,
                identifier,
                is_dir: flags & 2 != 0,
                offset,
                size,
            });
        }
        continued = flags & 0x80 != 0;
    }
    Ok(entries)
}

/// A name without its version, fit for a terminal.
fn plain(identifier: &[u8]) -> String {
    let name: String = identifier
        .iter()
        .map(|byte| match byte {
            b'/' => '_',
            byte if byte.is_ascii_control() => '_',
            byte => char::from(*byte),
        })
        .collect();
    let name = name.strip_suffix(";1").unwrap_or(&name);
    name.strip_suffix('.').unwrap_or(name).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shortened_as_in_images_of_level_1() {
        for (name, expected) in [
            ("igninfo.json", "IGNINFO.JSO"),
            ("kargs.json", "KARGS.JSO"),
            ("genericdvd.prm", "GENERICD.PRM"),
            ("initrd.addrsize", "INITRD.ADD"),
            (".cmdline", "_CMDLINE"),
            ("EFI", "EFI"),
            ("a-b", "A_B"),
        ] {
            assert_eq!(short(name), expected);
        }
    }

    fn record(name: &[u8], lba: u32, size: u32, flags: u8) -> Vec<u8> {
        let mut record = vec![0; FIXED];
        record[2..6].copy_from_slice(&lba.to_le_bytes());
        record[10..14].copy_from_slice(&size.to_le_bytes());
        record[25] = flags;
        record[32] = name.len() as u8;
        record.extend_from_slice(name);
        if record.len() % 2 == 1 {
            record.push(0);
        }
        record[0] = record.len() as u8;
        record
    }

    #[test]
    fn records_are_read_across_sectors() {
        let mut records = record(&[0], 20, 2048, 2);
        records.extend(record(&[1], 20, 2048, 2));
        records.extend(record(b"A.TXT;1", 30, 5, 0));
        records.resize(2048, 0);
        records.extend(record(b"DIR", 31, 2048, 2));
        records.resize(4096, 0);
        let entries = entries(&records, "/", &Vec::new()).unwrap();
        let shown: Vec<_> = entries
            .iter()
            .map(|entry| (entry.path.as_str(), entry.offset, entry.size, entry.is_dir))
            .collect();
        assert_eq!(
            shown,
            [("/A.TXT", 61440, 5, false), ("/DIR", 63488, 2048, true)]
        );
    }

    #[test]
    fn parts_of_a_file_are_one_if_they_touch() {
        let mut records = record(b"BIG;1", 100, 4096, 0x80);
        records.extend(record(b"BIG;1", 102, 7, 0));
        let joined = entries(&records, "/", &Vec::new()).unwrap();
        assert_eq!((joined.len(), joined[0].size), (1, 4103));
        let mut records = record(b"BIG;1", 100, 4096, 0x80);
        records.extend(record(b"BIG;1", 103, 7, 0));
        let error = entries(&records, "/", &Vec::new()).unwrap_err();
        assert!(error.to_string().contains("are apart"), "{error}");
    }
}
