//! Where kolea keeps what outlives a run.

use std::path::PathBuf;

/// `$XDG_CACHE_HOME/kolea`, `~/.cache/kolea`, or a place in the temporary directory where there is no home.
pub fn cache_dir() -> PathBuf {
    let var = |name| std::env::var_os(name).filter(|value| !value.is_empty());
    var("XDG_CACHE_HOME")
        .map(PathBuf::from)
        .or_else(|| var("HOME").map(|home| PathBuf::from(home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir)
        .join("kolea")
}
