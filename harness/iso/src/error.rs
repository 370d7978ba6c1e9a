//! What can go wrong.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Why an image can't be read or changed. Each is one line; which image is meant is for the caller to say, but for files that are
/// written.
#[derive(Debug, Error)]
pub enum IsoError {
    /// The image can't be opened.
    #[error("cannot open {}: {error}", .path.display())]
    Open {
        /// The image.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The image can't be read.
    #[error("cannot read {what}, {length} bytes at {offset}: {error}")]
    Read {
        /// What was to be read.
        what: String,
        /// Where it is, in bytes from the beginning.
        offset: u64,
        /// How many bytes.
        length: u64,
        /// Why.
        error: io::Error,
    },
    /// It is something else.
    #[error("this is not an ISO 9660 image: {0}")]
    NotIso(&'static str),
    /// It ends before its volume does.
    #[error(
        "the image is incomplete: it has {size} bytes of {expected}; download or build it again"
    )]
    Incomplete {
        /// What the file has, in bytes.
        size: u64,
        /// What its volume descriptor says, in bytes.
        expected: u64,
    },
    /// Something in it contradicts itself.
    #[error("the image is damaged: {what}: {why}")]
    Damaged {
        /// What.
        what: String,
        /// Why it can't be so.
        why: String,
    },
    /// There is no such file in it.
    #[error("there is no file {0} in the image")]
    NoFile(String),
    /// It takes no Ignition config.
    #[error(
        "the image has no embed area for an Ignition config ({looked_for}); only live ISOs of CoreOS's kind have one"
    )]
    NoIgnitionArea {
        /// What was looked for.
        looked_for: String,
    },
    /// It takes no kernel arguments.
    #[error(
        "the image has no embed areas for kernel arguments ({looked_for}); only live ISOs of CoreOS's kind have them"
    )]
    NoKargsArea {
        /// What was looked for.
        looked_for: String,
    },
    /// There is a config already.
    #[error("the image already has an embedded Ignition config; use -f to replace it")]
    AlreadyEmbedded,
    /// There are keyfiles already.
    #[error("the image already has embedded network keyfiles; use -f to replace them")]
    NetworkAlreadyEmbedded,
    /// Its initramfs takes no keyfiles.
    #[error(
        "the image takes no network keyfiles: they need an initramfs with the feature `live-initrd-network` ({looked_for})"
    )]
    NoNetwork {
        /// What was looked for.
        looked_for: String,
    },
    /// What is to be the name of a keyfile is that of a directory, or none.
    #[error("{0:?} is no name for a keyfile; name a file, such as eth0.nmconnection")]
    KeyfileName(String),
    /// The config doesn't fit, or the keyfiles, or both.
    #[error(
        "the Ignition config and the network keyfiles do not fit: they take {needed} bytes once compressed, and the embed area has \
         {size}; let the config fetch its larger files by URL"
    )]
    IgnitionTooLarge {
        /// What the compressed archive takes, in bytes.
        needed: usize,
        /// What the area has, in bytes.
        size: usize,
    },
    /// The kernel arguments don't fit.
    #[error(
        "the kernel arguments do not fit: they take {needed} bytes, and the embed areas have {size}"
    )]
    KargsTooLong {
        /// What they take with the character that ends them, in bytes.
        needed: usize,
        /// What each area has, in bytes.
        size: usize,
    },
    /// An argument, or what is to be done to it, makes no sense.
    #[error("kernel argument {argument:?}: {why}")]
    BadKarg {
        /// The argument as it was given.
        argument: String,
        /// What is wrong with it.
        why: &'static str,
    },
    /// No minimal image can be made of it.
    #[error("no minimal ISO can be made of the image: it has no miniso.dat ({looked_for})")]
    NoMiniso {
        /// What was looked for.
        looked_for: String,
    },
    /// The minimal image would not be what its makers have made.
    #[error(
        "no minimal ISO can be made of the image, since {what} other than it was built with; reset that, and put it into the minimal ISO"
    )]
    Customised {
        /// What.
        what: &'static str,
    },
    /// It has no boot catalog that could be taken from it.
    #[error("the image has no El Torito boot record")]
    NoElTorito,
    /// A file can't be written.
    #[error("cannot {doing} {}: {error}", .path.display())]
    Write {
        /// What was being done to it, such as `create`.
        doing: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Something went wrong while the image was copied to a pipe.
    #[error("cannot write the image to standard output: {0}")]
    Stream(io::Error),
    /// What was read back is not what was written.
    #[error("{} has other bytes at {offset} than were written; is its disk failing?", .path.display())]
    ReadBack {
        /// The file.
        path: PathBuf,
        /// The beginning of the area, in bytes from the beginning of the file.
        offset: u64,
    },
}

impl IsoError {
    /// Whether the machine is at fault, and not the image or what was asked for.
    pub fn is_io(&self) -> bool {
        matches!(
            self,
            IsoError::Read { .. }
                | IsoError::Write { .. }
                | IsoError::Stream(_)
                | IsoError::ReadBack { .. }
        )
    }

    pub(crate) fn damaged(what: impl Into<String>, why: impl Into<String>) -> IsoError {
        IsoError::Damaged {
            what: what.into(),
            why: why.into(),
        }
    }
}
