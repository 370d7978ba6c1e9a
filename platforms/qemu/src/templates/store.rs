//! The cache of templates: found, published, and kept within limits.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::evict::{self, PARTIAL};
use super::manifest::Manifest;
use super::names::LOCK;
use super::{Frozen, TemplateKey};
use crate::QemuError;
use crate::files::MachineFiles;
use crate::options::TemplateCache;

/// The cache. Its functions block.
#[derive(Clone, Debug)]
pub struct Store {
    dir: PathBuf,
    limit_mib: u64,
}

impl Store {
    /// Opens a cache, makes it if there is none, and removes what dead runs left in it.
    pub fn open(options: &TemplateCache) -> Result<Store, QemuError> {
        let open = || -> io::Result<Store> {
            DirBuilder::new()
                .recursive(true)
                .mode(0o700)
                .create(&options.dir)?;
            let store = Store {
                dir: fs::canonicalize(&options.dir)?,
                limit_mib: options.limit_mib,
            };
            let _lock = evict::lock(&store.dir)?;
            evict::sweep_locked(&store.dir);
            evict::evict_locked(&store.dir, store.limit_mib);
            Ok(store)
        };
        open().map_err(|source| QemuError::Directory {
            action: "use the template cache",
            path: options.dir.clone(),
            source,
        })
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Makes a directory for a machine that may become a template.
    pub fn partial(&self) -> io::Result<MachineFiles> {
        let _lock = evict::lock(&self.dir)?;
        let path = self
            .dir
            .join(format!("{PARTIAL}{}", uuid::Uuid::new_v4().simple()));
        DirBuilder::new().mode(0o700).create(&path)?;
        let lock = File::create(path.join(LOCK))?;
        // Shared from the start: it says that somebody lives, and need not change when the template is published.
        lock.try_lock_shared()?;
        Ok(MachineFiles::locked(path, lock, false))
    }

    /// The template with that key, if there is one that is whole.
    pub fn find(&self, key: &TemplateKey) -> Option<Frozen> {
        let found = self.take(key);
        if let Err(error) = &found {
            tracing::warn!(
                "cannot use the template cache {}: {error}",
                self.dir.display()
            );
        }
        let (files, manifest) = match found.ok()?? {
            (files, Ok(manifest)) => (files, manifest),
            (files, Err(fault)) => {
                self.remove_broken(files, &fault);
                return None;
            }
        };
        if let Err(fault) = manifest.check(files.path()) {
            self.remove_broken(files, &fault);
            return None;
        }
        Some(Frozen::new(files, manifest, Some(self.dir.clone())))
    }

    /// Locks the directory for a key. Outdated ones are removed if there is none.
    fn take(
        &self,
        key: &TemplateKey,
    ) -> io::Result<Option<(MachineFiles, Result<Manifest, String>)>> {
        let _lock = evict::lock(&self.dir)?;
        let path = self.dir.join(key.name());
        if !path.is_dir() {
            self.remove_outdated(key);
            return Ok(None);
        }
        let lock = File::options()
            .create(true)
            .truncate(false)
            .write(true)
            .open(path.join(LOCK))?;
        // Nobody holds it alone: that takes the cache's lock.
        lock.lock_shared()?;
        lock.set_modified(SystemTime::now())?;
        let manifest = Manifest::read(&path).and_then(|manifest| {
            if manifest.key == *key {
                Ok(manifest)
            } else {
                Err("it is of another key".to_owned())
            }
        });
        Ok(Some((MachineFiles::locked(path, lock, true), manifest)))
    }

    fn remove_broken(&self, files: MachineFiles, fault: &str) {
        let path = files.path().to_owned();
        drop(files); // and with it our part of the lock
        let removed = evict::lock(&self.dir).is_ok_and(|_lock| evict::remove_unused(&path));
        let outcome = if removed {
            "it was removed"
        } else {
            "somebody still uses it"
        };
        tracing::warn!(
            "the template {} is damaged ({fault}); {outcome}, and the machine boots instead",
            path.display()
        );
    }

    fn remove_outdated(&self, key: &TemplateKey) {
        for dir in evict::finished(&self.dir) {
            if let Ok(manifest) = Manifest::read(&dir)
                && manifest.key.is_outdated(key)
                && evict::remove_unused(&dir)
            {
                tracing::info!(
                    "removed the template {}: it was made by QEMU {}, this is {}",
                    dir.display(),
                    manifest.key.qemu,
                    key.qemu
                );
            }
        }
    }

    /// Gives a finished template its name, so that later runs find it. If another run was faster, its template is used; if
    /// that is not possible, this one is used for this run only.
    pub fn publish(&self, mut files: MachineFiles, manifest: Manifest) -> io::Result<Frozen> {
        let path = self.dir.join(manifest.key.name());
        let rename = |files: &mut MachineFiles| -> io::Result<()> {
            let _lock = evict::lock(&self.dir)?;
            File::open(files.path().join(LOCK))?.set_modified(SystemTime::now())?;
            files.move_to(&path)?;
            File::open(&self.dir)?.sync_all()?;
            evict::evict_locked(&self.dir, self.limit_mib);
            Ok(())
        };
        match rename(&mut files) {
            Err(error) if is_taken(&error) => match self.find(&manifest.key) {
                Some(theirs) => Ok(theirs),
                // It was damaged, and may be gone now.
                None => match rename(&mut files) {
                    Err(error) if is_taken(&error) => Ok(Frozen::new(files, manifest, None)),
                    Err(error) => Err(error),
                    Ok(()) => Ok(Frozen::new(files, manifest, Some(self.dir.clone()))),
                },
            },
            Err(error) => Err(error),
            Ok(()) => Ok(Frozen::new(files, manifest, Some(self.dir.clone()))),
        }
    }
}

fn is_taken(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists
    )
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
