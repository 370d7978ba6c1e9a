//! What runs find out about the host and the image (two seconds of each), handed on from one run's cache to the next's.

use std::fs;
use std::path::{Path, PathBuf};

/// The names of such files begin with these. What tests took (`durations.json`) is not among them, nor are templates.
const FACTS: &[&str] = &["image-sha256-", "kvm-", "machine-type-", "tcg-"];

/// Where they are between runs.
fn kept() -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join("facts")
}

/// Puts what is known into the cache of a run that has not begun.
pub fn give(cache: &Path) {
    copy(&kept(), &cache.join("kolea")).unwrap();
}

/// Keeps what is in the cache of a run that has ended.
pub fn keep(cache: &Path) {
    // A destructor calls this, and what is not kept is found out again.
    let _ = copy(&cache.join("kolea"), &kept());
}

/// Other tests may do so at the same time, so that a file appears as a whole.
fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    let files = fs::read_dir(from).into_iter().flatten().flatten();
    for file in files {
        let name = file.file_name().to_string_lossy().into_owned();
        if FACTS.iter().any(|fact| name.starts_with(fact)) && !to.join(&name).exists() {
            fs::create_dir_all(to)?;
            let copy = tempfile::NamedTempFile::new_in(to)?;
            fs::copy(file.path(), copy.path())?;
            copy.persist(to.join(name))?;
        }
    }
    Ok(())
}
