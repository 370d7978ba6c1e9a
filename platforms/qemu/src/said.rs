//! What a guest has said so far, for whoever waits for a text.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// The artefact with what was said on port `testisocompletion`.
pub const COMPLETION: &str = "testisocompletion.txt";

/// The artefacts that a text is looked for in.
const HEARD: [&str; 2] = [COMPLETION, "console.txt"];

/// Looks for a text in artefacts that grow.
#[derive(Debug)]
pub struct Search {
    text: Vec<u8>,
    /// With how far each has been read.
    files: Vec<(PathBuf, u64)>,
}

impl Search {
    /// In that directory.
    pub fn new(dir: &Path, text: &str) -> Search {
        Search {
            text: text.as_bytes().to_vec(),
            files: HEARD.iter().map(|name| (dir.join(name), 0)).collect(),
        }
    }

    /// Whether it is there by now. What was read before is not read again.
    ///
    /// # Errors
    /// A file can't be read.
    pub fn found(&mut self) -> io::Result<bool> {
        for (path, read) in &mut self.files {
            let file = match File::open(path) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                file => file?,
            };
            let length = usize::try_from(file.metadata()?.len().saturating_sub(*read));
            let mut bytes = vec![0; length.map_err(io::Error::other)?];
            file.read_exact_at(&mut bytes, *read)?;
            if bytes.windows(self.text.len()).any(|part| part == self.text) {
                return Ok(true);
            }
            // The text may have come in part.
            let kept = bytes.len().min(self.text.len().saturating_sub(1));
            *read += (bytes.len() - kept) as u64;
        }
        Ok(false)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn a_text_that_comes_in_parts_is_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut search = Search::new(dir.path(), "live-test-OK");
        assert!(!search.found().unwrap());
        let mut console = File::create(dir.path().join("console.txt")).unwrap();
        let mut port = File::create(dir.path().join(COMPLETION)).unwrap();
        for (part, there) in [("live", false), ("-test", false), ("-OK", true)] {
            console.write_all(b"something else\n").unwrap();
            port.write_all(part.as_bytes()).unwrap();
            assert_eq!(search.found().unwrap(), there, "{part}");
        }
    }
}
