//! Embedding: what is to be changed in an image, and the ways to do it.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;

use tempfile::NamedTempFile;

use crate::archive::{Archive, CONFIG};
use crate::copy::{Copied, copy};
use crate::error::IsoError;
use crate::ignition::{IgnitionArea, Usage};
use crate::kargs::{Edited, KargsArea, KargsEdit};
use crate::network::{NetworkChange, check_network};
use crate::patch::Patch;
use crate::source::FileSource;
use crate::volume::Iso;

/// What is to be changed in an image; nothing by default.
#[derive(Clone, Debug, Default)]
pub struct EmbedRequest {
    /// The directories of the root that may have `igninfo.json` and `kargs.json`, such as `coreos`: the distribution's profile says
    /// which.
    pub directories: Vec<String>,
    /// What happens to the Ignition config.
    pub ignition: Option<IgnitionChange>,
    /// What happens to NetworkManager's keyfiles.
    pub network: Option<NetworkChange>,
    /// What happens to the kernel arguments.
    pub kargs: Option<KargsChange>,
    /// Hides the boot catalog from firmware, as kola does: it then boots the image as a disk, also where it is one that could be
    /// taken for a CD.
    pub hide_el_torito: bool,
}

/// What happens to the Ignition config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum IgnitionChange {
    /// It is embedded.
    Embed {
        /// The config; not looked into.
        config: Vec<u8>,
        /// Whether it takes the place of one that is there.
        replace: bool,
    },
    /// It is removed, if there is one.
    Remove,
}

/// What happens to the kernel arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KargsChange {
    /// Some are added, taken out, replaced.
    Edit(KargsEdit),
    /// They become those that the image was built with.
    Reset,
}

/// What was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Embedded {
    /// How the image was copied; none if it was changed in place, or written to a pipe.
    pub copied: Option<Copied>,
    /// How full the area for the Ignition config and the keyfiles is, if that was changed.
    pub ignition: Option<Usage>,
    /// The kernel arguments, if those were changed.
    pub kargs: Option<Edited>,
}

/// Writes a changed copy of an image to a new file, which shares the image's blocks where the file system can do that. What was
/// written is read back.
///
/// # Errors
/// The image lacks an area or the change does not fit it, or `out` is there already or can't be written; then nothing is left there.
pub fn embed(iso: &Path, out: &Path, request: &EmbedRequest) -> Result<Embedded, IsoError> {
    let image = open(iso, false)?;
    let (patch, mut embedded) = plan(&image, iso, request)?;
    let failed = |doing: &'static str| {
        move |error| IsoError::Write {
            doing,
            path: out.to_owned(),
            error,
        }
    };
    let temporary = temporary_for(out)?;
    embedded.copied = Some(copy(&image, temporary.as_file()).map_err(failed("write"))?);
    patch.apply(temporary.as_file()).map_err(failed("write"))?;
    patch.verify(temporary.path())?;
    temporary
        .persist_noclobber(out)
        .map_err(|error| failed("create")(error.error))?;
    Ok(embedded)
}

/// A new file that can become `out`, which must not be there yet.
pub(crate) fn temporary_for(out: &Path) -> Result<NamedTempFile, IsoError> {
    let failed = |error| IsoError::Write {
        doing: "create",
        path: out.to_owned(),
        error,
    };
    if out.symlink_metadata().is_ok() {
        return Err(failed(std::io::ErrorKind::AlreadyExists.into()));
    }
    let dir = match out.parent() {
        Some(dir) if !dir.as_os_str().is_empty() => dir,
        _ => Path::new("."),
    };
    let mut builder = tempfile::Builder::new();
    builder
        .prefix(".kolea-iso-")
        .tempfile_in(dir)
        .map_err(failed)
}

/// Changes an image where it is. What was written is read back.
///
/// # Errors
/// It lacks an area or the change does not fit it, which is found before anything is written; or it can't be written.
pub fn embed_in_place(iso: &Path, request: &EmbedRequest) -> Result<Embedded, IsoError> {
    let image = open(iso, true)?;
    let (patch, embedded) = plan(&image, iso, request)?;
    patch.apply(&image).map_err(|error| IsoError::Write {
        doing: "write",
        path: iso.to_owned(),
        error,
    })?;
    patch.verify(iso)?;
    Ok(embedded)
}

/// Writes a changed copy of an image to a pipe.
///
/// # Errors
/// It lacks an area or the change does not fit it, which is found before anything is written; or it can't be written.
pub fn embed_to_writer(
    iso: &Path,
    writer: &mut dyn Write,
    request: &EmbedRequest,
) -> Result<Embedded, IsoError> {
    let image = open(iso, false)?;
    let (patch, embedded) = plan(&image, iso, request)?;
    patch.stream(&image, writer).map_err(IsoError::Stream)?;
    Ok(embedded)
}

fn open(iso: &Path, write: bool) -> Result<File, IsoError> {
    let opened = OpenOptions::new().read(true).write(write).open(iso);
    opened.map_err(|error| IsoError::Open {
        path: iso.to_owned(),
        error,
    })
}

/// The bytes to be written to the image, from what it is now.
fn plan(image: &File, path: &Path, request: &EmbedRequest) -> Result<(Patch, Embedded), IsoError> {
    let source = image.try_clone().and_then(FileSource::new);
    let iso = Iso::new(source.map_err(|error| IsoError::Open {
        path: path.to_owned(),
        error,
    })?)?;
    let mut writes = Vec::new();
    let mut embedded = Embedded {
        copied: None,
        ignition: None,
        kargs: None,
    };
    if request.ignition.is_some() || request.network.is_some() {
        let area = IgnitionArea::find(&iso, &request.directories)?;
        let (mut archive, _) = area.read(&iso)?;
        if let Some(change) = &request.ignition {
            change.apply(&mut archive)?;
        }
        if let Some(change) = &request.network {
            if matches!(change, NetworkChange::Embed { .. }) {
                check_network(&iso, &request.directories)?;
            }
            change.apply(&mut archive)?;
        }
        let (bytes, usage) = area.fill(&archive)?;
        writes.push((area.offset, bytes));
        embedded.ignition = Some(usage);
    }
    if let Some(change) = &request.kargs {
        let area = KargsArea::find(&iso, &request.directories)?;
        let edited = match change {
            KargsChange::Edit(edit) => edit.apply(&area.current)?,
            KargsChange::Reset => Edited {
                kargs: area.default.clone(),
                missing: Vec::new(),
            },
        };
        writes.extend(area.fill(&edited.kargs)?);
        embedded.kargs = Some(edited);
    }
    if request.hide_el_torito {
        let record = iso.boot_record().ok_or(IsoError::NoElTorito)?;
        // kola's bytes: firmware looks for `EL TORITO SPECIFICATION`.
        writes.push((record.offset + 7, b"NO".to_vec()));
    }
    Ok((Patch::new(writes)?, embedded))
}

impl IgnitionChange {
    fn apply(&self, archive: &mut Archive) -> Result<(), IsoError> {
        match self {
            IgnitionChange::Embed { config, replace } => {
                if archive.files.contains_key(CONFIG) && !replace {
                    return Err(IsoError::AlreadyEmbedded);
                }
                archive.files.insert(CONFIG.to_owned(), config.clone());
            }
            IgnitionChange::Remove => {
                archive.files.remove(CONFIG);
            }
        }
        Ok(())
    }
}
