//! Names as they were before ISO 9660 cut them: Rock Ridge's `NM` in a record's system use area.

use crate::error::IsoError;
use crate::source::ReadAt;
use crate::volume::{SECTOR, read, u32_at};

/// How often a name may go on elsewhere.
const MAX_CONTINUATIONS: usize = 16;
/// More than Linux takes.
const MAX_NAME: usize = 1024;

/// The name, if there is one that can be shown.
pub(crate) fn name(area: &[u8], source: &dyn ReadAt) -> Result<Option<String>, IsoError> {
    let mut name: Vec<u8> = Vec::new();
    let mut area = area.to_vec();
    for _ in 0..MAX_CONTINUATIONS {
        let mut rest = area.as_slice();
        let mut elsewhere = None;
        while let [a, b, length, _, ..] = *rest {
            let Some(field) = rest
                .get(..usize::from(length))
                .filter(|field| field.len() >= 4)
            else {
                break;
            };
            match &[a, b] {
                b"NM" if field.len() > 5 => name.extend_from_slice(&field[5..]),
                b"CE" if field.len() >= 28 => {
                    let block = u64::from(u32_at(field, 4)) * SECTOR;
                    elsewhere = Some((
                        block + u64::from(u32_at(field, 12)),
                        u64::from(u32_at(field, 20)),
                    ));
                }
                b"ST" => break,
                _ => {}
            }
            rest = &rest[field.len()..];
        }
        match elsewhere {
            Some((offset, length)) if length <= SECTOR && name.len() <= MAX_NAME => {
                area = read(source, "the rest of a file's name", offset, length)?;
            }
            _ => break,
        }
    }
    let name = String::from_utf8_lossy(&name).into_owned();
    let odd = |c: char| c == '/' || c.is_control();
    Ok(Some(name).filter(|name| !name.is_empty() && !name.contains(odd)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(signature: &[u8], data: &[u8]) -> Vec<u8> {
        let mut field = signature.to_vec();
        field.extend([4 + data.len() as u8, 1]);
        field.extend(data);
        field
    }

    fn nm(name: &str) -> Vec<u8> {
        field(b"NM", &[&[0], name.as_bytes()].concat())
    }

    #[test]
    fn names_are_found_and_put_together() {
        let none: &dyn ReadAt = &Vec::new();
        assert_eq!(name(&[], none).unwrap(), None);
        assert_eq!(name(&field(b"RR", &[9]), none).unwrap(), None);
        let area = [field(b"RR", &[9]), nm("ignition"), nm(".img")].concat();
        assert_eq!(name(&area, none).unwrap().unwrap(), "ignition.img");
        // not to be shown
        for odd in ["a/b", "a\nb"] {
            assert_eq!(name(&nm(odd), none).unwrap(), None);
        }
        // cut off
        assert_eq!(name(b"NM\x20\x01\0abc", none).unwrap(), None);
        assert_eq!(name(b"NM\0\x01", none).unwrap(), None);
    }

    #[test]
    fn names_go_on_elsewhere() {
        let mut image = vec![0; 4096];
        let rest = nm("second");
        image[2048 + 10..][..rest.len()].copy_from_slice(&rest);
        let mut position = Vec::new();
        for number in [1_u32, 10, rest.len() as u32] {
            position.extend(number.to_le_bytes());
            position.extend(number.to_be_bytes());
        }
        let area = [nm("first-"), field(b"CE", &position)].concat();
        assert_eq!(name(&area, &image).unwrap().unwrap(), "first-second");
        // beyond the end
        assert!(name(&area, &vec![0; 2048]).is_err());
        // a continuation that leads to itself comes to an end
        let area = field(b"CE", &position);
        image[2048 + 10..][..area.len()].copy_from_slice(&area);
        position[16..20].copy_from_slice(&(area.len() as u32).to_le_bytes());
        assert_eq!(name(&field(b"CE", &position), &image).unwrap(), None);
    }
}
