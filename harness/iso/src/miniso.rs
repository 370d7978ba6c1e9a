//! `miniso.dat`: what coreos-installer makes a minimal ISO from. Only its header is read here.

use serde::Serialize;

/// How much of the file is looked at.
pub(crate) const HEAD: u64 = 512;
const MAGIC: &[u8] = b"MINISO\0\0";

/// The header of `miniso.dat`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Miniso {
    /// The version of the format.
    pub version: u32,
    /// The version of coreos-installer that made it.
    pub packed_by: String,
}

impl Miniso {
    /// Reads the header, if it is one. Its numbers have one byte, or a mark and two or four.
    pub(crate) fn parse(head: &[u8]) -> Option<Miniso> {
        let rest = head.strip_prefix(MAGIC)?;
        let (version, rest) = number(rest)?;
        let (length, rest) = number(rest)?;
        let text = std::str::from_utf8(rest.get(..length as usize)?).ok()?;
        Some(Miniso {
            version,
            packed_by: text.replace(|c: char| c.is_control(), "_"),
        })
    }
}

fn number(bytes: &[u8]) -> Option<(u32, &[u8])> {
    let (first, rest) = bytes.split_first()?;
    match first {
        251 => {
            let (two, rest) = rest.split_first_chunk()?;
            Some((u32::from(u16::from_le_bytes(*two)), rest))
        }
        252 => {
            let (four, rest) = rest.split_first_chunk()?;
            Some((u32::from_le_bytes(*four), rest))
        }
        253.. => None,
        small => Some((u32::from(*small), rest)),
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
