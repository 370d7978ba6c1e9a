//! Copies of images that take as little room as the file system allows.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};

use rustix::fs::ioctl_ficlone;
use rustix::io::Errno;
use serde::Serialize;

/// How a file was copied.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Copied {
    /// The copy shares its blocks with the original, until one of them is changed.
    Reflink,
    /// Its bytes were copied, but for holes.
    Sparse,
}

/// Copies a file into an empty one.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<Copied> {
    // The file system may be another one, or none that can share blocks.
    if ioctl_ficlone(to, from).is_ok() {
        return Ok(Copied::Reflink);
    }
    let size = { from }.seek(SeekFrom::End(0))?;
    let mut at = 0;
    while let Some((start, end)) = data(from, at, size)? {
        { from }.seek(SeekFrom::Start(start))?;
        { to }.seek(SeekFrom::Start(start))?;
        // The kernel copies where it can: copy_file_range.
        let copied = io::copy(&mut from.take(end - start), &mut { to })?;
        if copied != end - start {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        at = end;
    }
    to.set_len(size)?;
    Ok(Copied::Sparse)
}

/// The next part of a file that is no hole.
fn data(file: &File, at: u64, size: u64) -> io::Result<Option<(u64, u64)>> {
    if at >= size {
        return Ok(None);
    }
    match rustix::fs::seek(file, rustix::fs::SeekFrom::Data(at)) {
        Ok(start) => {
            let end = rustix::fs::seek(file, rustix::fs::SeekFrom::Hole(start))?;
            Ok(Some((start, end.min(size))))
        }
        // Nothing but a hole follows.
        Err(Errno::NXIO) => Ok(None),
        // A block device has no holes.
        Err(Errno::INVAL | Errno::OPNOTSUPP) => Ok(Some((at, size))),
        Err(error) => Err(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{FileExt, MetadataExt};

    use super::*;

    #[test]
    fn holes_stay_holes() {
        let from = tempfile::tempfile().unwrap();
        let to = tempfile::tempfile().unwrap();
        from.set_len(64 << 20).unwrap();
        from.write_all_at(b"begin", 0).unwrap();
        from.write_all_at(b"middle", 32 << 20).unwrap();
        copy(&from, &to).unwrap();
        let (mut all, mut copied) = (Vec::new(), Vec::new());
        { &from }.rewind().unwrap();
        { &to }.rewind().unwrap();
        { &from }.read_to_end(&mut all).unwrap();
        { &to }.read_to_end(&mut copied).unwrap();
        assert!(all == copied);
        // In units of 512 bytes; a file system without holes has as many in both.
        let blocks = |file: &File| file.metadata().unwrap().blocks();
        assert!(blocks(&to) <= blocks(&from).max(64), "{}", blocks(&to));
    }

    #[test]
    fn an_empty_file_is_copied() {
        let from = tempfile::tempfile().unwrap();
        let to = tempfile::tempfile().unwrap();
        copy(&from, &to).unwrap();
        assert_eq!(to.metadata().unwrap().len(), 0);
    }
}
