//! Live ISO images as CoreOS builds them: what they are, and the areas in them that wait for an Ignition config, for NetworkManager's
//! keyfiles, and for kernel arguments.
//!
//! The layout of those areas, and the bytes that are written there, are coreos-installer's; `docs/iso.md` describes both. Whatever is
//! read is checked first, since an image may be damaged or malicious: nothing here panics, or takes memory that the image does not
//! have bytes for.

mod archive;
mod bootloader;
mod copy;
mod directory;
mod el_torito;
mod embed;
mod error;
mod ignition;
mod inspect;
mod kargs;
mod kernel;
mod minimal;
mod miniso;
mod network;
mod partitions;
mod patch;
mod pxeboot;
mod rock_ridge;
#[cfg(any(test, feature = "sample"))]
pub mod sample;
mod source;
mod volume;

pub use archive::Archive;
pub use bootloader::MenuEntry;
pub use copy::Copied;
pub use directory::Entry;
pub use el_torito::{BootCatalog, BootEntry};
pub use embed::{
    EmbedRequest, Embedded, IgnitionChange, KargsChange, embed, embed_in_place, embed_to_writer,
};
pub use error::IsoError;
pub use ignition::{IgnitionArea, Usage};
pub use inspect::{BootFile, IgnitionReport, Inspection, KargsReport, OsReport, TreeInfo, inspect};
pub use kargs::{Edited, KargsArea, KargsEdit, KargsPlace};
pub use minimal::{Minimal, check_minimal, extract_minimal};
pub use miniso::Miniso;
pub use network::{NetworkChange, check_keyfile_name, check_network, keyfiles};
pub use partitions::{GptPartition, MbrPartition, Partitions};
pub use pxeboot::Pxeboot;
pub use source::{FileSource, ReadAt};
pub use volume::{Iso, Volume};

#[cfg(test)]
mod tests;
