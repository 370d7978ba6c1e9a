//! Where tests are looked for.

use std::io;
use std::path::{Path, PathBuf};

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
        if !dir.metadata()?.is_dir() {
            return Err(io::Error::new(
                io::ErrorKind::NotADirectory,
                format!("{} is not a directory", dir.display()),
            ));
        }
        let tests = dir.join("tests/kola");
        match tests.metadata() {
            Ok(found) if found.is_dir() => {}
            Ok(_) => return Ok(None),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                return Ok(None);
            }
            Err(error) => return Err(error),
        }
        let resolved;
        let name = match dir.file_name() {
            Some(name) => Some(name),
            // `.` and `..` are called what they are
            None => {
                resolved = dir.canonicalize()?;
                resolved.file_name()
            }
        };
        let Some(name) = name.and_then(|name| name.to_str()) else {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!(
                    "{} has no name that a test's name can begin with",
                    dir.display()
                ),
            ));
        };
        Ok(Some(TestTree {
            dir: tests,
            prefix: format!("ext.{name}"),
        }))
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
    }
}
