//! Copies of files with holes, and what is different in them.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use nix::errno::Errno;
use nix::unistd::{Whence, lseek};

/// How much is read at once, in bytes.
const CHUNK: usize = 1 << 20;
/// What is compared as a whole: the block of most file systems, in bytes.
const BLOCK: usize = 4096;

/// Bytes that are different, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// From the start, in bytes.
    pub offset: u64,
    /// What is there now.
    pub bytes: Vec<u8>,
}

/// Copies what is not a hole. `to` is empty and becomes as long as `from`.
pub fn copy(from: &File, to: &File) -> io::Result<()> {
    to.set_len(from.metadata()?.len())?;
    let mut buffer = vec![0; CHUNK];
    each_chunk(from, |offset, length| {
        from.read_exact_at(&mut buffer[..length], offset)?;
        to.write_all_at(&buffer[..length], offset)
    })
}

/// What is in `after` and not in `before`, of which it is a changed copy.
pub fn changes(before: &File, after: &File) -> io::Result<Vec<Change>> {
    let (mut old, mut new) = (vec![0; CHUNK], vec![0; CHUNK]);
    let mut changes: Vec<Change> = Vec::new();
    each_chunk(after, |offset, length| {
        before.read_exact_at(&mut old[..length], offset)?;
        after.read_exact_at(&mut new[..length], offset)?;
        if old[..length] == new[..length] {
            return Ok(());
        }
        for (at, (old, new)) in (offset..)
            .step_by(BLOCK)
            .zip(old[..length].chunks(BLOCK).zip(new[..length].chunks(BLOCK)))
        {
            if old == new {
                continue;
            }
            match changes.last_mut() {
                Some(last) if last.offset + last.bytes.len() as u64 == at => {
                    last.bytes.extend_from_slice(new);
                }
                _ => changes.push(Change {
                    offset: at,
                    bytes: new.to_vec(),
                }),
            }
        }
        Ok(())
    })?;
    Ok(changes)
}

/// Calls `each` with offset and length of all parts that are not holes, at most a chunk at a time.
fn each_chunk(file: &File, mut each: impl FnMut(u64, usize) -> io::Result<()>) -> io::Result<()> {
    let end = file.metadata()?.len();
    let mut at = 0;
    while at < end {
        let begin = match lseek(file, i64_of(at)?, Whence::SeekData) {
            Ok(begin) => u64_of(begin)?,
            Err(Errno::ENXIO) => return Ok(()), // nothing but a hole
            Err(error) => return Err(error.into()),
        };
        let hole = u64_of(lseek(file, i64_of(begin)?, Whence::SeekHole)?)?.min(end);
        at = begin;
        while at < hole {
            let length = usize::try_from(hole - at).unwrap_or(CHUNK).min(CHUNK);
            each(at, length)?;
            at += length as u64;
        }
    }
    Ok(())
}

fn i64_of(offset: u64) -> io::Result<i64> {
    i64::try_from(offset).map_err(io::Error::other)
}

fn u64_of(offset: i64) -> io::Result<u64> {
    u64::try_from(offset).map_err(io::Error::other)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_copy_keeps_holes_and_changes_are_found() {
        let (from, to) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        from.set_len(64 << 20).unwrap();
        from.write_all_at(&[1; 10_000], 3 << 20).unwrap();
        from.write_all_at(&[2], (64 << 20) - 1).unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(to.metadata().unwrap().len(), 64 << 20);
        assert!(to.metadata().unwrap().blocks() < 4096);
        assert_eq!(changes(&from, &to).unwrap(), []);

        // In data, over the border of two blocks, and in a hole.
        to.write_all_at(&[9; 2], (3 << 20) + 4095).unwrap();
        to.write_all_at(&[7], 40 << 20).unwrap();
        let found = changes(&from, &to).unwrap();
        let places: Vec<_> = found
            .iter()
            .map(|change| (change.offset, change.bytes.len()))
            .collect();
        assert_eq!(places[0], (3 << 20, 8192));
        assert_eq!(places[1].0, 40 << 20);
        assert_eq!(places.len(), 2);
        assert_eq!(found[0].bytes[4094..4098], [1, 9, 9, 1]);
        for change in &found {
            from.write_all_at(&change.bytes, change.offset).unwrap();
        }
        assert_eq!(changes(&from, &to).unwrap(), []);
    }
}
