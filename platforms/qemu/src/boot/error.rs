//! Why the boot file system of an image can't be changed.

use std::io;
use std::path::{Path, PathBuf};

use kolea_machine::MachineError;
use thiserror::Error;

/// Why kernel arguments can't be set on an image, or could not be set for a machine.
#[derive(Debug, Error)]
#[error("cannot set kernel arguments on image {}: {fault}", image.display())]
pub struct BootError {
    image: PathBuf,
    fault: Fault,
}

/// What is in the way.
#[derive(Debug, Error)]
pub enum Fault {
    /// The image is not laid out as it has to be: what was found, and what is expected.
    #[error("{0}")]
    Layout(String),
    /// A program is missing, or failed.
    #[error("{0}")]
    Program(String),
    /// A temporary file.
    #[error("cannot {action}: {source}")]
    File {
        /// What was being done.
        action: &'static str,
        /// Why not.
        source: io::Error,
    },
}

impl Fault {
    /// For a result of a file operation.
    pub fn file(action: &'static str) -> impl FnOnce(io::Error) -> Fault {
        move |source| Fault::File { action, source }
    }

    /// The fault, with the image it is about.
    pub fn on(self, image: &Path) -> BootError {
        BootError {
            image: image.to_owned(),
            fault: self,
        }
    }
}

impl BootError {
    /// The error of a machine that is not started for it.
    pub fn of_machine(&self) -> MachineError {
        let full = match &self.fault {
            Fault::File { source, .. } => matches!(
                source.kind(),
                io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
            ),
            Fault::Program(message) => message.contains("No space left on device"),
            Fault::Layout(_) => false,
        };
        if full {
            MachineError::DiskFull(self.to_string())
        } else {
            MachineError::Launch(self.to_string())
        }
    }
}
