//! `miniso.dat`: what coreos-installer makes a minimal ISO from: where its files are in the full one, and all other bytes of it, packed by
//! xz. Numbers have one byte, or a mark and two, four or eight.

use serde::Serialize;

use crate::volume::SECTOR;

/// How much of the file is looked at.
pub(crate) const HEAD: u64 = 512;
const MAGIC: &[u8] = b"MINISO\0\0";
/// The version that is written since there is such a file.
const VERSION: u32 = 1;

/// The header of `miniso.dat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miniso {
    /// The version of the format.
    pub version: u32,
    /// The version of coreos-installer that made it.
    pub packed_by: String,
}

impl Miniso {
    /// Reads the header, if it is one.
    pub(crate) fn parse(head: &[u8]) -> Option<Miniso> {
        Some(Miniso::split(head)?.0)
    }

    fn split(bytes: &[u8]) -> Option<(Miniso, &[u8])> {
        let rest = bytes.strip_prefix(MAGIC)?;
        let (version, rest) = number(rest)?;
        let (text, rest) = text(rest)?;
        let miniso = Miniso {
            version: u32::try_from(version).ok()?,
            packed_by: std::str::from_utf8(text)
                .ok()?
                .replace(|c: char| c.is_control(), "_"),
        };
        Some((miniso, rest))
    }
}

/// All of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Packed {
    /// The files that both images have, in the minimal one's order.
    pub files: Vec<Place>,
    /// The minimal image's SHA-256.
    pub digest: [u8; 32],
    /// What is between the files, packed by xz.
    pub rest: Vec<u8>,
}

/// Where a file is, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Place {
    pub minimal: u64,
    pub full: u64,
    pub length: u64,
}

impl Packed {
    /// Reads it; an error says what is wrong with it.
    pub fn parse(bytes: &[u8]) -> Result<Packed, String> {
        let (head, rest) = Miniso::split(bytes).ok_or("it is empty, or no such file")?;
        if head.version != VERSION {
            return Err(format!(
                "its format is {} of installer {}, and {VERSION} is known",
                head.version, head.packed_by
            ));
        }
        Packed::body(rest).ok_or_else(|| "it is cut off".to_owned())?
    }

    /// None if it is cut off.
    fn body(bytes: &[u8]) -> Option<Result<Packed, String>> {
        let (count, mut rest) = number(bytes)?;
        let (mut files, mut end) = (Vec::new(), 0);
        for _ in 0..count {
            let mut three = [0; 3];
            for one in &mut three {
                (*one, rest) = number(rest)?;
            }
            let [minimal, full, length] = three;
            let (Some(minimal), Some(full)) =
                (minimal.checked_mul(SECTOR), full.checked_mul(SECTOR))
            else {
                return Some(Err("a file is nowhere".to_owned()));
            };
            if minimal < end {
                return Some(Err(format!("files at {minimal} overlap")));
            }
            end = minimal.saturating_add(length);
            files.push(Place {
                minimal,
                full,
                length,
            });
        }
        let (digest, rest) = rest.split_first_chunk()?;
        let (packed, _) = text(rest)?;
        Some(Ok(Packed {
            files,
            digest: *digest,
            rest: packed.to_vec(),
        }))
    }
}

/// So many bytes, after their number.
fn text(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = number(bytes)?;
    rest.split_at_checked(usize::try_from(length).ok()?)
}

fn number(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        251 => {
            let (two, rest) = rest.split_first_chunk()?;
            Some((u64::from(u16::from_le_bytes(*two)), rest))
        }
        252 => {
            let (four, rest) = rest.split_first_chunk()?;
            Some((u64::from(u32::from_le_bytes(*four)), rest))
        }
        253 => {
            let (eight, rest) = rest.split_first_chunk()?;
            Some((u64::from_le_bytes(*eight), rest))
        }
        254.. => None,
        small => Some((u64::from(*small), rest)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_header_is_read() {
        let parsed = Miniso::parse(b"MINISO\0\0\x01\x060.12.0rest").unwrap();
        assert_eq!((parsed.version, parsed.packed_by.as_str()), (1, "0.12.0"));
        let parsed = Miniso::parse(b"MINISO\0\0\xfb\x01\x01\x011").unwrap();
        assert_eq!((parsed.version, parsed.packed_by.as_str()), (257, "1"));
        // not packed yet, and cut off
        for head in [
            &[0; 64][..],
            b"MINISO\0\0",
            b"MINISO\0\0\x01\x09abc",
            b"MINISO\0\0\xff",
        ] {
            assert_eq!(Miniso::parse(head), None);
        }
    }
}
