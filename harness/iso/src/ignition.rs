//! The embed area for an Ignition config.

use serde::{Deserialize, Serialize};

use crate::archive::{Archive, CONFIG};
use crate::error::IsoError;
use crate::kargs::path_in;
use crate::volume::Iso;

/// The file that is the area where nothing says otherwise.
const DEFAULT_FILE: &str = "/images/ignition.img";
/// The last bytes of the system area: magic, offset, length.
const LEGACY_HEADER: u64 = 32768 - 24;
const LEGACY_MAGIC: &[u8] = b"coreiso+";
/// Of a JSON file that says where something is.
pub(crate) const MAX_INFO: u64 = 1 << 20;
/// Larger than any; CoreOS's have 256 KiB.
const MAX_AREA: u64 = 256 << 20;

/// Where the area for the Ignition config is, and what is in it.
#[derive(Clone, Debug)]
pub struct IgnitionArea {
    /// The file that has it, or that it is; none if only a header says where it is.
    pub file: Option<String>,
    /// Where it begins, in bytes.
    pub offset: u64,
    /// How many bytes it has.
    pub size: u64,
}

/// How full an area is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// What is used, in bytes.
    pub used: usize,
    /// What there is, in bytes.
    pub size: usize,
}

/// `igninfo.json`.
#[derive(Deserialize)]
struct Info {
    file: String,
    offset: Option<u64>,
    length: Option<u64>,
}

impl IgnitionArea {
    /// Finds it: by `igninfo.json` in one of those directories of the root, as `/images/ignition.img`, or by the header that images
    /// of 2020 and 2021 have in their system area.
    ///
    /// # Errors
    /// There is none, or what says where it is makes no sense.
    pub fn find(iso: &Iso, directories: &[String]) -> Result<IgnitionArea, IsoError> {
        for directory in directories {
            let path = format!("/{directory}/igninfo.json");
            if let Some(entry) = iso.find(&path)? {
                let json = iso.contents(&entry, MAX_INFO)?;
                let info: Info = serde_json::from_slice(&json)
                    .map_err(|error| IsoError::damaged(&entry.path, error.to_string()))?;
                return IgnitionArea::by_info(iso, &entry.path, &info);
            }
        }
        if let Some(file) = iso.find(DEFAULT_FILE)?.filter(|entry| !entry.is_dir) {
            return IgnitionArea::checked(iso, Some(file.path), file.offset, file.size);
        }
        let header = iso.read("the system area", LEGACY_HEADER, 24)?;
        if header.starts_with(LEGACY_MAGIC) {
            let number = |at: usize| {
                let eight = header.get(at..).and_then(|rest| rest.first_chunk());
                eight.map_or(0, |eight| u64::from_le_bytes(*eight))
            };
            return IgnitionArea::checked(iso, None, number(8), number(16));
        }
        let mut looked_for: Vec<String> = directories
            .iter()
            .map(|directory| format!("/{directory}/igninfo.json"))
            .collect();
        looked_for.push(DEFAULT_FILE.to_owned());
        Err(IsoError::NoIgnitionArea {
            looked_for: format!("neither {}", looked_for.join(" nor ")),
        })
    }

    fn by_info(iso: &Iso, info_path: &str, info: &Info) -> Result<IgnitionArea, IsoError> {
        let path = path_in(&info.file);
        let file = iso
            .find(&path)?
            .filter(|entry| !entry.is_dir)
            .ok_or_else(|| IsoError::damaged(info_path, format!("there is no file {path}")))?;
        let within = info.offset.unwrap_or(0);
        let size = match info.length {
            Some(size) => Some(size),
            None => file.size.checked_sub(within),
        };
        match (file.offset.checked_add(within), size) {
            (Some(offset), Some(size)) => IgnitionArea::checked(iso, Some(file.path), offset, size),
            _ => Err(IsoError::damaged(
                info_path,
                format!("offset {within} is beyond the end of {path}"),
            )),
        }
    }

    fn checked(
        iso: &Iso,
        file: Option<String>,
        offset: u64,
        size: u64,
    ) -> Result<IgnitionArea, IsoError> {
        let fits = offset
            .checked_add(size)
            .is_some_and(|end| end <= iso.size());
        if !fits || size > MAX_AREA {
            return Err(IsoError::damaged(
                "the embed area for an Ignition config",
                format!(
                    "it cannot have {size} bytes at {offset} in an image of {}",
                    iso.size()
                ),
            ));
        }
        Ok(IgnitionArea { file, offset, size })
    }

    /// Reads the area: its files, and how much of it is used.
    ///
    /// # Errors
    /// It can't be read, or has something else in it than an initramfs.
    pub fn read(&self, iso: &Iso) -> Result<(Archive, Usage), IsoError> {
        let what = "the embed area for an Ignition config";
        let bytes = iso.read(what, self.offset, self.size)?;
        let used = bytes.iter().rposition(|byte| *byte != 0);
        let usage = Usage {
            used: used.map_or(0, |last| last + 1),
            size: bytes.len(),
        };
        let archive = Archive::parse(&bytes).map_err(|why| IsoError::damaged(what, why))?;
        Ok((archive, usage))
    }

    /// The config in an archive.
    pub fn config(archive: &Archive) -> Option<&[u8]> {
        archive.files.get(CONFIG).map(Vec::as_slice)
    }

    /// All bytes of the area with that archive in it.
    ///
    /// # Errors
    /// It doesn't fit.
    pub fn fill(&self, archive: &Archive) -> Result<(Vec<u8>, Usage), IsoError> {
        let mut bytes = archive
            .to_bytes()
            .map_err(|why| IsoError::damaged("the archive for the embed area", why))?;
        // Checked to be at most MAX_AREA.
        let size = self.size as usize;
        let usage = Usage {
            used: bytes.len(),
            size,
        };
        if bytes.len() > size {
            return Err(IsoError::IgnitionTooLarge {
                needed: bytes.len(),
                size,
            });
        }
        bytes.resize(size, 0);
        Ok((bytes, usage))
    }
}
