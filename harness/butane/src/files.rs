//! Local files: those of the config's `--files-dir`, and nothing outside of it.

use std::path::{Component, Path, PathBuf};

/// Where `local` of a config may point to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Files<'a> {
    dir: Option<&'a Path>,
}

impl<'a> Files<'a> {
    pub(crate) fn new(dir: Option<&'a Path>) -> Files<'a> {
        // Go's `""`
        Files {
            dir: dir.filter(|dir| !dir.as_os_str().is_empty()),
        }
    }

    /// The path of a local file or directory. Only the text is looked at: a symbolic link may lead anywhere, as with Butane.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong.
    pub(crate) fn path(self, local: &str) -> Result<PathBuf, String> {
        let Some(dir) = self.dir else {
            return Err(format!(
                "local file `{local}`: there is no directory that local files may come from"
            ));
        };
        let base = std::path::absolute(dir)
            .map(|dir| clean(&dir))
            .map_err(|error| format!("directory {} of local files: {error}", dir.display()))?;
        // an absolute path is below the directory, too
        let path = clean(&base.join(local.trim_start_matches('/')));
        if path.starts_with(&base) {
            Ok(path)
        } else {
            Err(format!(
                "local file `{local}` is outside of {}",
                dir.display()
            ))
        }
    }

    /// The bytes of a local file.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong.
    pub(crate) fn read(self, local: &str) -> Result<Vec<u8>, String> {
        let path = self.path(local)?;
        std::fs::read(&path)
            .map_err(|error| format!("local file {} cannot be read: {error}", path.display()))
    }

    /// The text of a local file.
    ///
    /// # Errors
    ///
    /// A line that says what is wrong.
    pub(crate) fn read_text(self, local: &str) -> Result<String, String> {
        String::from_utf8(self.read(local)?)
            .map_err(|_| format!("local file `{local}` is not UTF-8 text"))
    }
}

/// The path without `.` and `..`, as text.
fn clean(path: &Path) -> PathBuf {
    let mut clean = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                clean.pop();
            }
            Component::CurDir => {}
            component => clean.push(component),
        }
    }
    clean
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_outside_is_read() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a"), "x").unwrap();
        let files = Files::new(Some(dir.path()));
        assert_eq!(files.read("a").unwrap(), b"x");
        // an absolute path is below the directory, too
        assert_eq!(files.read("/a").unwrap(), b"x");
        assert_eq!(files.read("b/../a").unwrap(), b"x");
        let name = dir.path().file_name().unwrap().to_str().unwrap();
        assert_eq!(files.read(&format!("../{name}/a")).unwrap(), b"x");
        for outside in ["../a", "b/../../a", "..", &format!("../{name}x/a")] {
            let error = files.read(outside).unwrap_err();
            assert!(error.contains("outside"), "{error}");
        }
        assert!(files.read("b").unwrap_err().contains("cannot be read"));
        assert!(files.read(".").is_err());
        for none in [Files::new(None), Files::new(Some(Path::new("")))] {
            assert!(none.read("a").unwrap_err().contains("no directory"));
        }
        std::fs::write(dir.path().join("binary"), [0xff, 0xfe]).unwrap();
        assert!(files.read_text("binary").unwrap_err().contains("UTF-8"));
    }
}
