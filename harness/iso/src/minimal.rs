//! Minimal ISOs: all of a live ISO but the root file system, which the initramfs fetches instead. What they are made of is packed into
//! the full one, in `miniso.dat`; what comes out is what coreos-installer's `iso extract minimal-iso` makes.

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;

use liblzma::read::XzDecoder;
use sha2::{Digest, Sha256};

use crate::embed::temporary_for;
use crate::error::IsoError;
use crate::ignition::IgnitionArea;
use crate::kargs::{KargsArea, KargsEdit, with_default};
use crate::miniso::Packed;
use crate::patch::Patch;
use crate::volume::Iso;

/// coreos-installer takes no larger `miniso.dat`.
const MAX_MINISO: u64 = 1 << 20;
/// How much is copied at once, in bytes.
const PIECE: u64 = 1 << 20;

/// What a minimal ISO is to be.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Minimal {
    /// The directories of the root that may have `miniso.dat` and what describes embed areas, such as `coreos`.
    pub directories: Vec<String>,
    /// Where the initramfs fetches `images/pxeboot/rootfs.img` from; without it, the kernel arguments have to be given later.
    pub rootfs_url: Option<String>,
}

/// Makes the minimal ISO of a live one, as a new file.
///
/// # Errors
/// The image has no `miniso.dat`, or not what that was made for, or `out` is there already or can't be written; then nothing is left
/// there.
pub fn extract_minimal(iso: &Path, out: &Path, minimal: &Minimal) -> Result<(), IsoError> {
    let full = Iso::open(iso)?;
    let directories = &minimal.directories;
    let packed = find(&full, directories)?;
    unless_customised(&full, directories)?;
    let failed = |doing: &'static str| {
        move |error| IsoError::Write {
            doing,
            path: out.to_owned(),
            error,
        }
    };
    let temporary = temporary_for(out)?;
    unpack(&full, &packed, temporary.as_file(), failed("write"))?;
    let patch = with_arguments(&Iso::open(temporary.path())?, minimal)?;
    patch.apply(temporary.as_file()).map_err(failed("write"))?;
    patch.verify(temporary.path())?;
    temporary
        .persist_noclobber(out)
        .map_err(|error| failed("create")(error.error))?;
    Ok(())
}

/// Looks whether a minimal ISO can be made of an image.
///
/// # Errors
/// It has no `miniso.dat`, or that is damaged, or something was put into the image, or the kernel arguments do not fit (the minimal
/// one has the same areas).
pub fn check_minimal(iso: &Iso, minimal: &Minimal) -> Result<(), IsoError> {
    find(iso, &minimal.directories)?;
    unless_customised(iso, &minimal.directories)?;
    with_arguments(iso, minimal).map(drop)
}

fn find(iso: &Iso, directories: &[String]) -> Result<Packed, IsoError> {
    let paths = directories
        .iter()
        .map(|directory| format!("/{directory}/miniso.dat"));
    for path in paths.clone() {
        if let Some(entry) = iso.find(&path)? {
            let bytes = iso.contents(&entry, MAX_MINISO)?;
            return Packed::parse(&bytes).map_err(|why| IsoError::damaged(&entry.path, why));
        }
    }
    let looked_for: Vec<String> = paths.map(|path| format!("no {path}")).collect();
    Err(IsoError::NoMiniso {
        looked_for: looked_for.join(", "),
    })
}

/// What was put into the full image is nothing that its makers knew of.
fn unless_customised(iso: &Iso, directories: &[String]) -> Result<(), IsoError> {
    let area = IgnitionArea::find(iso, directories)?;
    let (archive, _) = area.read(iso)?;
    if !archive.files.is_empty() {
        let what = match IgnitionArea::config(&archive) {
            Some(_) => "it has an Ignition config,",
            None => "it has embedded files,",
        };
        return Err(IsoError::Customised { what });
    }
    let area = KargsArea::find(iso, directories)?;
    if area.current != area.default {
        let what = "it has kernel arguments";
        return Err(IsoError::Customised { what });
    }
    Ok(())
}

/// Writes the image as it was packed.
fn unpack(
    full: &Iso,
    packed: &Packed,
    file: &File,
    failed: impl Fn(io::Error) -> IsoError,
) -> Result<(), IsoError> {
    let damaged = |why: &str| IsoError::damaged("what its miniso.dat describes", why);
    let mut out = Hashed {
        file,
        hasher: Sha256::new(),
        size: 0,
    };
    let mut rest = XzDecoder::new(packed.rest.as_slice());
    for place in &packed.files {
        let gap = place.minimal - out.size;
        out.copy(&mut rest, gap, full.size(), &failed)?;
        if out.size != place.minimal {
            return Err(damaged("what is between the files is cut off"));
        }
        let mut done = 0;
        while done < place.length {
            let length = PIECE.min(place.length - done);
            let at = place.full.saturating_add(done);
            let bytes = full.read("a file of the minimal ISO", at, length)?;
            out.write_all(&bytes).map_err(&failed)?;
            done += length;
        }
    }
    out.copy(&mut rest, u64::MAX, full.size(), &failed)?;
    if out.hasher.finalize().as_slice() != packed.digest {
        return Err(damaged("what comes out is not what was packed"));
    }
    Ok(())
}

/// A file in the making, and what its hash is so far.
struct Hashed<'a> {
    file: &'a File,
    hasher: Sha256,
    size: u64,
}

impl Hashed<'_> {
    /// Unpacks so many bytes, or what there is. A minimal image is no larger than the full one.
    fn copy(
        &mut self,
        packed: &mut impl Read,
        length: u64,
        limit: u64,
        failed: impl Fn(io::Error) -> IsoError,
    ) -> Result<(), IsoError> {
        let mut left = length.min(limit.saturating_sub(self.size).saturating_add(1));
        let mut piece = vec![0; 64 << 10];
        while left > 0 {
            let most = usize::try_from(left).map_or(piece.len(), |left| left.min(piece.len()));
            let read = packed.read(&mut piece[..most]).map_err(|error| {
                IsoError::damaged("its miniso.dat", format!("it cannot be unpacked: {error}"))
            })?;
            if read == 0 {
                return Ok(());
            }
            self.write_all(&piece[..read]).map_err(&failed)?;
            left -= read as u64;
        }
        if self.size > limit {
            return Err(IsoError::damaged(
                "its miniso.dat",
                "the minimal ISO would be larger than the image",
            ));
        }
        Ok(())
    }
}

impl Write for Hashed<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = { self.file }.write(bytes)?;
        self.hasher.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// It has no root file system, so it says where that is; and never again that it is on the ISO.
fn with_arguments(iso: &Iso, minimal: &Minimal) -> Result<Patch, IsoError> {
    let area = KargsArea::find(iso, &minimal.directories)?;
    let on_iso = area
        .current
        .split_whitespace()
        .find_map(|word| Some((word.to_owned(), word.split_once(".liveiso=")?.0.to_owned())));
    let Some((argument, prefix)) = on_iso else {
        return Err(IsoError::damaged(
            "the minimal ISO",
            "it has no kernel argument coreos.liveiso=, or another distribution's",
        ));
    };
    let without = KargsEdit {
        delete: vec![argument],
        ..KargsEdit::default()
    };
    let default = without.apply(&area.current)?.kargs;
    let url = minimal.rootfs_url.iter();
    let with = KargsEdit {
        append: url
            .map(|url| format!("{prefix}.live.rootfs_url={url}"))
            .collect(),
        ..KargsEdit::default()
    };
    let mut writes = area.fill(&with.apply(&default)?.kargs)?;
    writes.push(with_default(iso, &minimal.directories, &default)?);
    Patch::new(writes)
}

#[cfg(test)]
#[path = "minimal_tests.rs"]
mod tests;
