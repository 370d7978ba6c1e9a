//! Where tests are looked for.

use std::io;
use std::path::{Path, PathBuf};

/// Where coreos-assembler installs tests of its own, whose names begin with `ext`.
const INSTALLED: &str = "/usr/lib/coreos-assembler/tests/kola";

/// A folder of external tests and what their names begin with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestTree {
    /// The `tests/kola` folder itself.
    pub dir: PathBuf,
    /// What every name begins with, such as `ext.core`.
    pub prefix: String,
}

impl TestTree {
    /// The tree of `-E DIR`: `DIR/tests/kola`, with the prefix `ext.<last part of DIR>`. None where `DIR` has no
    /// tests; an error where there is no `DIR`.
    pub fn from_exttest(dir: &Path) -> io::Result<Option<TestTree>> {
        let resolved;
        let name = match dir.file_name() {
            Some(name) => Some(name),
            // `.` and `..` are called what they are
            None => {
                resolved = dir.canonicalize()?;
                resolved.file_name()
            }
        };
        match name.and_then(|name| name.to_str()) {
            Some(name) => TestTree::in_dir(dir, &format!("ext.{name}")),
            None => Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} has no name that a test's name can begin with",
                    dir.display()
                ),
            )),
        }
    }

    /// The tree in `DIR/tests/kola`, with names that begin with `prefix`: `ext.config` for the `src/config` of a build
    /// working directory. None where `DIR` has no tests; an error where there is no `DIR`.
    pub fn in_dir(dir: &Path, prefix: &str) -> io::Result<Option<TestTree>> {
        if !dir.metadata()?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is not a directory", dir.display()),
            ));
        }
        TestTree::at(dir.join("tests/kola"), prefix)
    }

    /// The tests that are installed together with coreos-assembler, with the prefix `ext`, if there are any.
    pub fn installed() -> io::Result<Option<TestTree>> {
        TestTree::at(PathBuf::from(INSTALLED), "ext")
    }

    fn at(tests: PathBuf, prefix: &str) -> io::Result<Option<TestTree>> {
        match tests.metadata() {
            Ok(found) if found.is_dir() => Ok(Some(TestTree {
                dir: tests,
                prefix: prefix.to_owned(),
            })),
            Ok(_) => Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tree_is_named_after_its_directory() {
        let root = tempfile::tempdir().unwrap();
        let dir = root.path().join("core");
        std::fs::create_dir_all(dir.join("tests/kola")).unwrap();
        let prefix = |dir: &Path| TestTree::from_exttest(dir).unwrap().unwrap().prefix;
        assert_eq!(prefix(&dir), "ext.core");
        assert_eq!(prefix(&dir.join("")), "ext.core");
        assert_eq!(prefix(&dir.join("tests/..")), "ext.core");
        assert_eq!(TestTree::from_exttest(root.path()).unwrap(), None);
        assert!(TestTree::from_exttest(&root.path().join("missing")).is_err());
        let config = TestTree::in_dir(&dir, "ext.config").unwrap().unwrap();
        assert_eq!(config.prefix, "ext.config");
        assert_eq!(config.dir, dir.join("tests/kola"));
        assert!(TestTree::installed().is_ok());
    }
}
