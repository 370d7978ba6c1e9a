//! The working directory of cosa or nosa, the programs that build the images: what is where in it.

use std::path::{Path, PathBuf};

/// A working directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Workdir {
    /// Its path.
    pub path: PathBuf,
}

impl Workdir {
    /// The one that `--workdir` names, or the current directory if it looks like one; none by `--workdir none`.
    pub fn find(named: Option<&Path>) -> Option<Workdir> {
        match named.filter(|path| !path.as_os_str().is_empty()) {
            Some(path) if path == Path::new("none") => None,
            Some(path) => Some(Workdir {
                path: path.to_path_buf(),
            }),
            None => Path::new("builds").exists().then(|| Workdir {
                path: PathBuf::from("."),
            }),
        }
    }

    /// Where the builds are.
    pub fn builds(&self) -> PathBuf {
        self.path.join("builds")
    }

    /// Where the sources of the image's configuration are, with tests and denylist.
    pub fn config(&self) -> PathBuf {
        self.path.join("src/config")
    }

    /// The denylist.
    pub fn denylist(&self) -> PathBuf {
        self.config().join("kola-denylist.yaml")
    }

    /// Where output directories are made, and where the last run's reports may be.
    pub fn output(&self) -> PathBuf {
        self.path.join("tmp/kola")
    }
}
