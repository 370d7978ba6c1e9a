//! What is in the cache, and what has to leave it. All of this is done under the cache's lock.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::frozen::disk_mib;
use super::names::{LOCK, MANIFEST};

/// What unfinished templates are called.
pub const PARTIAL: &str = ".partial-";
/// The lock of the whole cache.
const CACHE_LOCK: &str = "cache-lock";

/// Waits for the cache's lock. Blocks, but only for as long as others rename and remove files.
pub fn lock(cache: &Path) -> io::Result<File> {
    let file = File::options()
        .create(true)
        .truncate(false)
        .write(true)
        .open(cache.join(CACHE_LOCK))?;
    file.lock()?;
    Ok(file)
}

/// The directories of templates, finished or not. Whatever else is there is not ours: the user chose the place.
fn directories(cache: &Path) -> Vec<PathBuf> {
    fs::read_dir(cache)
        .into_iter()
        .flatten()
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter(|entry| is_ours(&entry.file_name().to_string_lossy()))
        .map(|entry| entry.path())
        .collect()
}

/// The directories of finished templates.
pub fn finished(cache: &Path) -> Vec<PathBuf> {
    let mut found = directories(cache);
    found.retain(|dir| dir.join(MANIFEST).is_file() && !is_partial(dir));
    found
}

/// Whether it is the name of a key, or of something unfinished.
fn is_ours(name: &str) -> bool {
    let (digits, length) = match name.strip_prefix(PARTIAL) {
        Some(id) => (id, 32),
        None => (name, 16),
    };
    digits.len() == length && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

fn is_partial(dir: &Path) -> bool {
    dir.file_name()
        .is_some_and(|name| name.to_string_lossy().starts_with(PARTIAL))
}

/// Removes a template that nobody uses; whether it is gone. The cache must be locked, so that nobody begins to use it.
pub fn remove_unused(dir: &Path) -> bool {
    let unused = match File::open(dir.join(LOCK)) {
        Ok(lock) => lock.try_lock().is_ok(),
        // Made and locked in one go, under the cache's lock: whoever was at it is dead.
        Err(error) => error.kind() == io::ErrorKind::NotFound,
    };
    if !unused {
        return false;
    }
    match fs::remove_dir_all(dir) {
        Ok(()) => true,
        Err(error) => {
            tracing::warn!("cannot remove {}: {error}", dir.display());
            false
        }
    }
}

/// Removes what dead runs left unfinished, and what was withdrawn.
pub fn sweep(cache: &Path) {
    let Ok(_lock) = lock(cache) else { return };
    sweep_locked(cache);
}

/// [`sweep`], for whoever holds the cache's lock.
pub fn sweep_locked(cache: &Path) {
    for dir in directories(cache) {
        if (is_partial(&dir) || !dir.join(MANIFEST).is_file()) && remove_unused(&dir) {
            tracing::info!("removed {}: nobody needs it", dir.display());
        }
    }
}

/// Removes the least recently used templates until the others occupy no more than the limit. Those that are in use
/// stay.
pub fn evict_locked(cache: &Path, limit_mib: u64) {
    let mut templates: Vec<(SystemTime, u64, PathBuf)> = finished(cache)
        .into_iter()
        .map(|dir| (last_used(&dir), disk_mib(&dir), dir))
        .collect();
    templates.sort();
    let mut total: u64 = templates.iter().map(|(_, mib, _)| mib).sum();
    for (_, mib, dir) in templates {
        if total <= limit_mib {
            return;
        }
        if remove_unused(&dir) {
            tracing::info!(
                "removed the template {} ({mib} MiB): the cache may occupy {limit_mib} MiB",
                dir.display()
            );
            total -= mib;
        }
    }
}

fn last_used(dir: &Path) -> SystemTime {
    fs::metadata(dir.join(LOCK))
        .and_then(|data| data.modified())
        .unwrap_or(SystemTime::UNIX_EPOCH)
}
