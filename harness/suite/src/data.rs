//! Data directories, which are copied to the guest with their symlinks followed: whether that can work.

use std::collections::{HashMap, HashSet};
use std::fs;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use crate::walk::{Identity, LOOP, identity, why_unreadable};

/// What is wrong in a data directory: files and messages.
type Faults = Rc<Vec<(PathBuf, String)>>;

/// Data directories, each of which is looked at once however many tests share it by symlinks.
#[derive(Debug, Default)]
pub(crate) struct DataScan {
    known: HashMap<Identity, Faults>,
}

impl DataScan {
    /// What keeps the directory from being copied.
    pub fn faults(&mut self, path: &Path, own: Identity) -> Faults {
        let faults = self.known.entry(own).or_insert_with(|| {
            let mut scan = Scan::default();
            scan.directory(path, own);
            Rc::new(scan.faults)
        });
        Rc::clone(faults)
    }
}

#[derive(Default)]
struct Scan {
    faults: Vec<(PathBuf, String)>,
    /// The directories that the current one is in.
    above: Vec<Identity>,
    /// The directories that are known to have no loop below them.
    done: HashSet<Identity>,
}

impl Scan {
    fn directory(&mut self, path: &Path, own: Identity) {
        if self.done.contains(&own) {
            return;
        }
        if self.above.contains(&own) {
            self.faults.push((path.to_path_buf(), LOOP.to_owned()));
            return;
        }
        let entries = match fs::read_dir(path) {
            Ok(entries) => entries,
            Err(error) => {
                let message = why_unreadable(path, &error);
                self.faults.push((path.to_path_buf(), message));
                return;
            }
        };
        self.above.push(own);
        for entry in entries.flatten() {
            // most files need no look
            if entry.file_type().is_ok_and(|kind| kind.is_file()) {
                continue;
            }
            let path = entry.path();
            match path.metadata() {
                Ok(metadata) if metadata.is_dir() => self.directory(&path, identity(&metadata)),
                Ok(_) => {}
                Err(error) => {
                    let message = why_unreadable(&path, &error);
                    self.faults.push((path, message));
                }
            }
        }
        self.above.pop();
        self.done.insert(own);
    }
}
