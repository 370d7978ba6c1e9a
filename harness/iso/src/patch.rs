//! Changes to an image: bytes that take the place of others.

use std::fs::File;
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::IsoError;

/// Bytes and where they go, in order and apart.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Patch {
    writes: Vec<(u64, Vec<u8>)>,
}

impl Patch {
    /// # Errors
    /// Two of them overlap.
    pub fn new(mut writes: Vec<(u64, Vec<u8>)>) -> Result<Patch, IsoError> {
        writes.sort();
        // Files with the same contents may be one in an image.
        writes.dedup();
        for pair in writes.windows(2) {
            let (offset, bytes) = &pair[0];
            if offset.saturating_add(bytes.len() as u64) > pair[1].0 {
                return Err(IsoError::damaged(
                    "its embed areas",
                    format!("those at {offset} and at {} overlap", pair[1].0),
                ));
            }
        }
        Ok(Patch { writes })
    }

    /// Makes the changes.
    pub fn apply(&self, file: &File) -> io::Result<()> {
        self.writes
            .iter()
            .try_for_each(|(offset, bytes)| file.write_all_at(bytes, *offset))
    }

    /// Reads the changes back.
    ///
    /// # Errors
    /// They can't be read, or are not what was written.
    pub fn verify(&self, path: &Path) -> Result<(), IsoError> {
        let failed = |error| IsoError::Write {
            doing: "read back",
            path: path.to_owned(),
            error,
        };
        let file = File::open(path).map_err(failed)?;
        for (offset, bytes) in &self.writes {
            let mut found = vec![0; bytes.len()];
            file.read_exact_at(&mut found, *offset).map_err(failed)?;
            if found != *bytes {
                return Err(IsoError::ReadBack {
                    path: path.to_owned(),
                    offset: *offset,
                });
            }
        }
        Ok(())
    }

    /// Copies the image with the changes made.
    pub fn stream(&self, mut image: &File, writer: &mut dyn Write) -> io::Result<()> {
        image.rewind()?;
        let mut at = 0;
        for (offset, bytes) in &self.writes {
            let before = io::copy(&mut image.take(offset - at), writer)?;
            if before != offset - at {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            writer.write_all(bytes)?;
            at = offset + bytes.len() as u64;
            image.seek(io::SeekFrom::Start(at))?;
        }
        io::copy(&mut image, writer)?;
        writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_bytes_may_come_twice_but_others_may_not_overlap() {
        let write = |offset: u64, text: &str| (offset, text.as_bytes().to_vec());
        let patch = Patch::new(vec![write(4, "cd"), write(2, "ab"), write(4, "cd")]).unwrap();
        assert_eq!(patch.writes, [write(2, "ab"), write(4, "cd")]);
        for other in [write(3, "x"), write(1, "xy"), write(2, "xy")] {
            assert!(Patch::new(vec![write(2, "ab"), other]).is_err());
        }
    }
}
