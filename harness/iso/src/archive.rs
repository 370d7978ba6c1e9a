//! What is in the embed area for Ignition: an initramfs, which is one cpio archive after the other, compressed or not.

use std::collections::BTreeMap;
use std::io::{Cursor, Read};

use cpio::{NewcBuilder, NewcReader, write_cpio};
use flate2::bufread::GzDecoder;
use liblzma::stream::{Action, Check, Status, Stream};
use ruzstd::decoding::StreamingDecoder;

/// The file that Ignition's initramfs reads.
pub(crate) const CONFIG: &str = "config.ign";

/// What an archive may have, unpacked: far more than a machine takes as a config.
const MAX_UNPACKED: usize = 64 << 20;
/// What xz may take; level 9 takes 65 MiB.
const MAX_XZ_MEMORY: u64 = 128 << 20;
/// The kernel takes no longer paths.
const MAX_NAME: u32 = 4096;
/// The length of a newc header.
const HEADER: usize = 110;

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
    pub fn parse(mut area: &[u8]) -> Result<Archive, String> {
        let mut archive = Archive::default();
        let mut room = MAX_UNPACKED;
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
            // The crate takes memory for as long a name as the header says.
            let name = archive.get(94..102).and_then(hexadecimal);
            if archive.len() < HEADER || name.is_none_or(|length| length > MAX_NAME) {
                return Err("its cpio archive is invalid or cut off".to_owned());
            }
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
        let plain = write_cpio(members.into_iter(), Vec::new())
            .map_err(|error| format!("cannot make a cpio archive: {error}"))?;
        xz(&plain)
    }
}

fn hexadecimal(digits: &[u8]) -> Option<u32> {
    u32::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()
}

fn too_large() -> String {
    format!("it unpacks to more than {} MiB", MAX_UNPACKED >> 20)
}

/// Reads at most `room` bytes.
fn unpack(reader: &mut impl Read, room: usize) -> Result<Vec<u8>, String> {
    let mut unpacked = Vec::new();
    let read = reader.take(room as u64 + 1).read_to_end(&mut unpacked);
    read.map_err(|error| format!("it cannot be unpacked: {error}"))?;
    if unpacked.len() > room {
        return Err(too_large());
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
            return Err(too_large());
        }
        if status == Status::StreamEnd {
            return Ok((unpacked, &packed[stream.total_in() as usize..]));
        }
        if before == (stream.total_in(), stream.total_out()) {
            return Err("its xz stream is cut off".to_owned());
        }
    }
}

fn xz(plain: &[u8]) -> Result<Vec<u8>, String> {
    let failed = |error: liblzma::stream::Error| format!("cannot compress the archive: {error}");
    let mut stream = Stream::new_easy_encoder(9, Check::Crc32).map_err(failed)?;
    let mut packed = Vec::new();
    loop {
        let rest = &plain[stream.total_in() as usize..];
        packed.reserve(64 << 10);
        let status = stream
            .process_vec(rest, &mut packed, Action::Finish)
            .map_err(failed)?;
        if status == Status::StreamEnd {
            return Ok(packed);
        }
    }
}
