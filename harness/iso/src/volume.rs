//! The volume: its descriptors, and its files by path.

use std::collections::HashSet;
use std::fs::File;
use std::path::Path;

use serde::Serialize;

use crate::directory::{self, Entry};
use crate::error::IsoError;
use crate::source::{FileSource, ReadAt};

/// The size of a sector. The standard has others; no ISO has.
pub(crate) const SECTOR: u64 = 2048;
/// The sector of the first volume descriptor; those before are the system area.
const FIRST_DESCRIPTOR: u64 = 16;
/// More than any image has.
const MAX_DESCRIPTORS: u64 = 64;
/// No directory of an ISO has more bytes.
const MAX_DIRECTORY: u64 = 16 << 20;
/// No image that boots something has more files than this.
const MAX_ENTRIES: usize = 100_000;

/// An ISO 9660 image.
#[derive(Debug)]
pub struct Iso {
    source: Box<dyn ReadAt>,
    volume: Volume,
    root: Entry,
    boot_record: Option<BootRecord>,
    joliet: bool,
}

/// What the primary volume descriptor says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Volume {
    /// The label, by which an initramfs finds the medium.
    pub label: String,
    /// The system it is for.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub system: String,
    /// The set of volumes it belongs to.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub volume_set: String,
    /// Who published it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub publisher: String,
    /// What made it.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub application: String,
    /// How large it is, in bytes; the image may have more.
    pub size: u64,
}

/// The descriptor that says where the boot catalog is.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BootRecord {
    /// Where the descriptor is, in bytes.
    pub offset: u64,
    /// Where the catalog is, in bytes.
    pub catalog: u64,
}

impl Iso {
    /// Opens an image.
    ///
    /// # Errors
    /// It can't be opened or read, or is no ISO 9660 image, or not all of one.
    pub fn open(path: &Path) -> Result<Iso, IsoError> {
        let opened = File::open(path).and_then(FileSource::new);
        let source = opened.map_err(|error| IsoError::Open {
            path: path.to_owned(),
            error,
        })?;
        Iso::new(source)
    }

    /// Reads an image from elsewhere.
    ///
    /// # Errors
    /// It can't be read, or is no ISO 9660 image, or not all of one.
    pub fn new(source: impl ReadAt + 'static) -> Result<Iso, IsoError> {
        let mut primary = None;
        let mut boot_record = None;
        let mut joliet = false;
        for number in 0..MAX_DESCRIPTORS {
            let offset = (FIRST_DESCRIPTOR + number) * SECTOR;
            if offset + SECTOR > source.size() {
                break;
            }
            let sector = read(&source, "a volume descriptor", offset, SECTOR)?;
            if sector.get(1..6) != Some(b"CD001") {
                break;
            }
            match sector.first() {
                Some(0) if sector[7..].starts_with(b"EL TORITO SPECIFICATION") => {
                    boot_record.get_or_insert(BootRecord {
                        offset,
                        catalog: u64::from(u32_at(&sector, 0x47)) * SECTOR,
                    });
                }
                Some(1) if primary.is_none() => primary = Some(primary_descriptor(&sector)?),
                // The escape sequences of UCS-2.
                Some(2) => joliet |= sector[88..].starts_with(b"%/"),
                Some(255) => break,
                _ => {}
            }
        }
        let Some((volume, root)) = primary else {
            return Err(IsoError::NotIso(
                "it has no primary volume descriptor at 32768",
            ));
        };
        if volume.size > source.size() {
            return Err(IsoError::Incomplete {
                size: source.size(),
                expected: volume.size,
            });
        }
        Ok(Iso {
            source: Box::new(source),
            volume,
            root,
            boot_record,
            joliet,
        })
    }

    /// What the volume says about itself.
    pub fn volume(&self) -> &Volume {
        &self.volume
    }

    /// The size of the image, in bytes.
    pub fn size(&self) -> u64 {
        self.source.size()
    }

    /// Whether it has names for Windows, too.
    pub fn has_joliet(&self) -> bool {
        self.joliet
    }

    pub(crate) fn boot_record(&self) -> Option<BootRecord> {
        self.boot_record
    }

    /// The root directory.
    pub fn root(&self) -> &Entry {
        &self.root
    }

    /// Bytes of the image. `what` they are is for the error.
    ///
    /// # Errors
    /// The image has no such bytes, or they can't be read.
    pub fn read(&self, what: &str, offset: u64, length: u64) -> Result<Vec<u8>, IsoError> {
        read(&*self.source, what, offset, length)
    }

    /// What is in a directory, without itself and its parent.
    ///
    /// # Errors
    /// It is no directory, damaged, or can't be read.
    pub fn list(&self, directory: &Entry) -> Result<Vec<Entry>, IsoError> {
        let what = format!("directory {}", directory.path);
        if !directory.is_dir {
            return Err(IsoError::damaged(what, "it is a file"));
        }
        if directory.size > MAX_DIRECTORY {
            return Err(IsoError::damaged(
                what,
                format!("{} bytes are too many", directory.size),
            ));
        }
        let records = self.read(&what, directory.offset, directory.size)?;
        directory::entries(&records, &directory.path, &*self.source)
    }

    /// The file or directory of that absolute path. Where the image has Rock Ridge names, these count; its plain names are in
    /// capitals and may be as short as `IGNINFO.JSO`, and fit as well.
    ///
    /// # Errors
    /// A directory on the way is damaged or can't be read.
    pub fn find(&self, path: &str) -> Result<Option<Entry>, IsoError> {
        let mut found = self.root.clone();
        for name in path
            .split('/')
            .filter(|name| !name.is_empty() && *name != ".")
        {
            if !found.is_dir {
                return Ok(None);
            }
            let entries = self.list(&found)?;
            let fits = entries
                .into_iter()
                .filter_map(|entry| Some((entry.fits(name)?, entry)))
                .min_by_key(|(rank, _)| *rank);
            match fits {
                Some((_, entry)) => found = entry,
                None => return Ok(None),
            }
        }
        Ok(Some(found))
    }

    /// The file of that absolute path.
    ///
    /// # Errors
    /// There is none, or a directory on the way is damaged or can't be read.
    pub fn file(&self, path: &str) -> Result<Entry, IsoError> {
        self.find(path)?
            .filter(|entry| !entry.is_dir)
            .ok_or_else(|| IsoError::NoFile(path.to_owned()))
    }

    /// All of a file, if it has at most `limit` bytes.
    ///
    /// # Errors
    /// It has more, or can't be read.
    pub fn contents(&self, file: &Entry, limit: u64) -> Result<Vec<u8>, IsoError> {
        if file.size > limit {
            return Err(IsoError::damaged(
                &file.path,
                format!(
                    "{} bytes are too many, at most {limit} make sense",
                    file.size
                ),
            ));
        }
        self.read(&file.path, file.offset, file.size)
    }

    /// All files and directories below the root, parents first.
    ///
    /// # Errors
    /// A directory is damaged or can't be read, or there are too many.
    pub fn walk(&self) -> Result<Vec<Entry>, IsoError> {
        let mut found = self.list(&self.root)?;
        let mut seen = HashSet::from([self.root.offset]);
        let mut next = 0;
        while let Some(entry) = found.get(next) {
            next += 1;
            // A directory within itself would never end.
            if entry.is_dir && seen.insert(entry.offset) {
                let below = self.list(entry)?;
                found.extend(below);
            }
            if found.len() > MAX_ENTRIES {
                return Err(IsoError::damaged("its directories", "too many files"));
            }
        }
        Ok(found)
    }
}

fn primary_descriptor(sector: &[u8]) -> Result<(Volume, Entry), IsoError> {
    let block = u16::from_le_bytes([sector[128], sector[129]]);
    if u64::from(block) != SECTOR {
        return Err(IsoError::NotIso("its blocks do not have 2048 bytes"));
    }
    let root = Entry {
        name: String::new(),
        identifier: String::new(),
        path: "/".to_owned(),
        is_dir: true,
        offset: u64::from(u32_at(sector, 156 + 2)) * SECTOR,
        size: u64::from(u32_at(sector, 156 + 10)),
    };
    let volume = Volume {
        label: text(&sector[40..72]),
        system: text(&sector[8..40]),
        volume_set: text(&sector[190..318]),
        publisher: text(&sector[318..446]),
        application: text(&sector[574..702]),
        size: u64::from(u32_at(sector, 80)) * SECTOR,
    };
    Ok((volume, root))
}

/// A padded string of a descriptor, fit for a terminal.
fn text(bytes: &[u8]) -> String {
    let text = String::from_utf8_lossy(bytes);
    let text = text.trim_end_matches(['\0', ' ']);
    text.replace(|c: char| c.is_control(), "_")
}

/// Bytes that a slice is known to have.
pub(crate) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    let four = bytes.get(at..).and_then(|rest| rest.first_chunk());
    four.map_or(0, |four| u32::from_le_bytes(*four))
}

/// Bytes of a source, which must have them all before any memory is taken for them.
pub(crate) fn read(
    source: &dyn ReadAt,
    what: &str,
    offset: u64,
    length: u64,
) -> Result<Vec<u8>, IsoError> {
    let size = source.size();
    let fits = offset.checked_add(length).is_some_and(|end| end <= size);
    let length = match usize::try_from(length) {
        Ok(length) if fits => length,
        _ => {
            return Err(IsoError::damaged(
                what,
                format!("{length} bytes at {offset} are beyond the end of the image, {size}"),
            ));
        }
    };
    let mut buffer = vec![0; length];
    source
        .read_exact_at(&mut buffer, offset)
        .map_err(|error| IsoError::Read {
            what: what.to_owned(),
            offset,
            length: length as u64,
            error,
        })?;
    Ok(buffer)
}
