//! What is in the embed area for Ignition: an initramfs, which is one cpio archive after the other, compressed or not.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use cpio::{NewcBuilder, NewcReader, write_cpio};
use flate2::bufread::GzDecoder;
use liblzma::stream::{Action, Check, Status, Stream};
use liblzma::write::XzEncoder;
use ruzstd::decoding::StreamingDecoder;

/// The file that Ignition's initramfs reads.
pub(crate) const CONFIG: &str = "config.ign";

/// What an archive may have, unpacked: far more than a machine takes as a config.
const MAX_UNPACKED: usize = 64 << 20;
/// What xz may take; level 9 takes 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;

/// The regular files of an initramfs by path.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Archive {
    /// Path and contents.
    pub files: BTreeMap<String, Vec<u8>>,
}

impl Archive {
    /// Reads one archive after the other, with zeros between and behind them. Of files with the same path the last counts, as for
    /// the kernel.
    ///
    /// # Errors
    /// One line that says what is wrong.
    pub fn parse(area: &[u8]) -> Result<Archive, String> {
        Archive::parse_within(area, MAX_UNPACKED)
    }

    fn parse_within(mut area: &[u8], mut room: usize) -> Result<Archive, String> {
        let mut archive = Archive::default();
        loop {
            let zeros = area.iter().take_while(|byte| **byte == 0).count();
            area = &area[zeros..];
            if area.is_empty() {
                return Ok(archive);
            }
            let (unpacked, rest) = match area {
                [0x1f, 0x8b, ..] => gunzip(area, room)?,
                [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => unxz(area, room)?,
                [0x28, 0xb5, 0x2f, 0xfd, ..] => unzstd(area, room)?,
                _ => {
                    area = archive.add(area)?;
                    continue;
                }
            };
            room -= unpacked.len();
            let behind = archive.add(&unpacked)?;
            if behind.iter().any(|byte| *byte != 0) {
                return Err("something follows an archive that is compressed".to_owned());
            }
            area = rest;
        }
    }

    /// Adds the files of one cpio archive, and returns what follows it.
    fn add<'a>(&mut self, mut archive: &'a [u8]) -> Result<&'a [u8], String> {
        let invalid = |error: std::io::Error| format!("its cpio archive is invalid: {error}");
        loop {
            let mut reader = NewcReader::new(archive).map_err(invalid)?;
            let entry = reader.entry();
            if entry.is_trailer() {
                return reader.finish().map_err(invalid);
            }
            let path = entry.name().to_owned();
            let size = entry.file_size() as usize;
            let regular = entry.mode() & 0o170_000 == 0o100_000;
            let mut contents = Vec::new();
            reader.read_to_end(&mut contents).map_err(invalid)?;
            if contents.len() != size {
                return Err(format!("{path:?} in its cpio archive is cut off"));
            }
            if regular {
                self.files.insert(path, contents);
            }
            archive = reader.finish().map_err(invalid)?;
        }
    }

    /// The paths of its files, fit for a terminal, but for the config's.
    pub(crate) fn other_paths(&self) -> Vec<String> {
        let paths = self.files.keys().filter(|path| *path != CONFIG);
        paths
            .map(|path| path.replace(|c: char| c.is_control(), "_"))
            .collect()
    }

    /// The archive as coreos-installer writes it: newc with all parent directories, compressed by xz at level 9 with a CRC32, which is
    /// the check that the kernel knows. Nothing if it has no files.
    ///
    /// # Errors
    /// One line that says what is wrong; there should be nothing.
    pub fn to_bytes(&self) -> Result<Vec<u8>, String> {
        if self.files.is_empty() {
            return Ok(Vec::new());
        }
        let mut members = Vec::new();
        let mut made: Vec<&str> = Vec::new();
        for (path, contents) in &self.files {
            // The kernel unpacks no file whose directory is not there.
            for (at, _) in path.match_indices('/') {
                let directory = &path[..at];
                if !directory.is_empty() && !made.contains(&directory) {
                    made.push(directory);
                    members.push((
                        NewcBuilder::new(directory).mode(0o40_755),
                        Cursor::new(&[][..]),
                    ));
                }
            }
            members.push((
                NewcBuilder::new(path).mode(0o100_600),
                Cursor::new(contents.as_slice()),
            ));
        }
        // cpio's crate flushes behind members that need padding, and xz then begins a new block: an encoder of the whole archive at
        // once would make other bytes.
        let encoder = Stream::new_easy_encoder(9, Check::Crc32)
            .map_err(|error| format!("cannot compress the archive: {error}"))?;
        let encoder = XzEncoder::new_stream(Vec::new(), encoder);
        write_cpio(members.into_iter(), encoder)
            .and_then(XzEncoder::finish)
            .map_err(|error| format!("cannot make the archive: {error}"))
    }
}

/// Of an archive that would be no config, but fill the memory.
const TOO_LARGE: &str = "it unpacks to too much";

/// Reads at most `room` bytes.
fn unpack(reader: &mut impl Read, room: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = reader.take(room as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if unpacked.len() > room {
        return Err(TOO_LARGE.to_owned());
    }
    Ok(unpacked)
}

fn gunzip(packed: &[u8], room: usize) -> Result<(Vec<u8>, &[u8]), String> {
    let mut decoder = GzDecoder::new(packed);
    let unpacked = unpack(&mut decoder, room)?;
    Ok((unpacked, decoder.into_inner()))
}

fn unzstd(packed: &[u8], room: usize) -> Result<(Vec<u8>, &[u8]), String> {
    let mut rest = packed;
    let unpacked = {
        let mut decoder = StreamingDecoder::new(&mut rest)
            .map_err(|error| format!("it cannot be unpacked: {error}"))?;
        unpack(&mut decoder, room)?
    };
    Ok((unpacked, rest))
}

fn unxz(packed: &[u8], room: usize) -> Result<(Vec<u8>, &[u8]), String> {
    let failed = |error: liblzma::stream::Error| format!("it cannot be unpacked: {error}");
    let mut stream = Stream::new_stream_decoder(MAX_XZ_MEMORY, 0).map_err(failed)?;
    let mut unpacked = Vec::new();
    loop {
        let rest = &packed[stream.total_in() as usize..];
        unpacked.reserve(64 << 10);
        let before = (stream.total_in(), stream.total_out());
        let status = stream
            .process_vec(rest, &mut unpacked, Action::Finish)
            .map_err(failed)?;
        if unpacked.len() > room {
            return Err(TOO_LARGE.to_owned());
        }
        if status == Status::StreamEnd {
            return Ok((unpacked, &packed[stream.total_in() as usize..]));
        }
        if before == (stream.total_in(), stream.total_out()) {
            return Err("its xz stream is cut off".to_owned());
        }
    }
}

#[cfg(test)]
#[path = "archive_tests.rs"]
mod tests;
