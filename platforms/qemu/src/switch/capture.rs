//! A record of what went through a network, in the format of pcap (draft-ietf-opsawg-pcap).

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};

/// Microseconds, in the byte order that this is written in.
const MAGIC: u32 = 0xa1b2_c3d4;
const VERSION: [u16; 2] = [2, 4];
/// More than the longest frame.
const LONGEST: u32 = 262_144;
/// Link type.
const ETHERNET: u32 = 1;

/// A file that frames are written to.
#[derive(Debug)]
pub struct Capture {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Capture {
    /// Begins a file.
    pub fn start(path: &Path) -> io::Result<Capture> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&MAGIC.to_le_bytes())?;
        for number in VERSION {
            file.write_all(&number.to_le_bytes())?;
        }
        for number in [0, 0, LONGEST, ETHERNET] {
            file.write_all(&number.to_le_bytes())?;
        }
        Ok(Capture {
            path: path.to_owned(),
            file,
        })
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Adds a frame.
    pub fn add(&mut self, frame: &[u8], time: DateTime<Utc>) -> io::Result<()> {
        let length = u32::try_from(frame.len()).unwrap_or(LONGEST);
        // The format ends in 2106.
        let seconds = u32::try_from(time.timestamp()).unwrap_or_default();
        for number in [seconds, time.timestamp_subsec_micros(), length, length] {
            self.file.write_all(&number.to_le_bytes())?;
        }
        self.file.write_all(frame)
    }

    /// Completes it.
    pub fn stop(mut self) -> io::Result<()> {
        self.file.flush()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

    use super::*;

    #[test]
    fn it_is_what_wireshark_reads() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.pcap");
        let mut capture = Capture::start(&path).unwrap();
        let time = DateTime::UNIX_EPOCH + TimeDelta::microseconds(3_000_007);
        capture.add(&[0xab; 3], time).unwrap();
        capture.stop().unwrap();
        let expected = [
            &[0xd4, 0xc3, 0xb2, 0xa1, 2, 0, 4, 0][..],
            &[0; 8],
            &[0, 0, 4, 0, 1, 0, 0, 0],
            &[3, 0, 0, 0, 7, 0, 0, 0, 3, 0, 0, 0, 3, 0, 0, 0],
            &[0xab; 3],
        ];
        assert_eq!(std::fs::read(&path).unwrap(), expected.concat());
    }
}
