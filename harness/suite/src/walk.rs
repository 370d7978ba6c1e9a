//! The walk through a tree: which directories hold tests, and what lies beside them.

use std::ffi::OsStr;
use std::fs::{self, File, Metadata};
use std::io::{self, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::data::DataScan;
use crate::problem::Problem;
use crate::tree::TestTree;

/// What a file or a directory is, however it is reached.
pub(crate) type Identity = (u64, u64);

pub(crate) fn identity(metadata: &Metadata) -> Identity {
    (metadata.dev(), metadata.ino())
}

/// A config beside the tests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct ConfigFile {
    pub path: PathBuf,
    pub identity: Identity,
}

/// A directory with at least one test in it, or with a config.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Directory {
    /// What the names of its tests begin with.
    pub prefix: String,
    /// The executables, sorted by name.
    pub executables: Vec<PathBuf>,
    /// `config.ign`.
    pub ignition: Option<ConfigFile>,
    /// `config.bu`.
    pub butane: Option<ConfigFile>,
    /// `kola.json`.
    pub kola_json: Option<PathBuf>,
    /// `data`.
    pub data: Option<PathBuf>,
    /// `kolea-serve`.
    pub serve: Option<PathBuf>,
    /// What keeps its tests from running, and no others: files and messages.
    pub faults: Vec<(PathBuf, String)>,
}

impl Directory {
    /// The tests' names and executables. A directory whose only test is `test.sh` lends it its own name.
    pub fn tests(&self) -> impl Iterator<Item = (String, &Path)> {
        let alone = self.executables.len() == 1;
        self.executables.iter().map(move |executable| {
            let file = executable.file_name().unwrap_or_default().to_string_lossy();
            let name = if alone && file == "test.sh" {
                self.prefix.clone()
            } else {
                format!("{}.{file}", self.prefix)
            };
            (name, executable.as_path())
        })
    }
}

/// What a tree consists of.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Walked {
    /// Every directory that holds tests, those below a directory before it.
    pub directories: Vec<Directory>,
    /// Configs in directories that hold no test.
    pub idle_configs: Vec<ConfigFile>,
}

/// Goes through the tree. `data` knows the data directories of other trees already.
pub(crate) fn walk(tree: &TestTree, data: &mut DataScan, problems: &mut Vec<Problem>) -> Walked {
    let mut walk = Walk {
        found: Walked::default(),
        data,
        problems,
        above: Vec::new(),
    };
    match tree.dir.metadata() {
        Ok(metadata) => walk.directory(&tree.dir, identity(&metadata), &tree.prefix),
        Err(error) => walk.unreadable(&tree.dir, &error),
    }
    walk.found
}

/// Why something cannot be read, and what to do.
pub(crate) fn why_unreadable(path: &Path, error: &io::Error) -> String {
    if error.kind() == io::ErrorKind::NotFound && path.is_symlink() {
        "the symlink leads nowhere: fix or remove it".to_owned()
    } else {
        format!("cannot be read: {error}")
    }
}

pub(crate) const LOOP: &str = "the symlink leads to a directory that it is in: remove it";

struct Walk<'a> {
    found: Walked,
    data: &'a mut DataScan,
    problems: &'a mut Vec<Problem>,
    /// The directories that the current one is in; one that is met again below itself is a loop.
    above: Vec<Identity>,
}

impl Walk<'_> {
    fn unreadable(&mut self, path: &Path, error: &io::Error) {
        let message = why_unreadable(path, error);
        self.problems.push(Problem::error(path, None, message));
    }

    fn warn(&mut self, path: &Path, message: &str) {
        self.problems.push(Problem::warning(path, None, message));
    }

    fn directory(&mut self, path: &Path, own: Identity, prefix: &str) {
        if self.above.contains(&own) {
            self.problems.push(Problem::error(path, None, LOOP));
            return;
        }
        let entries = fs::read_dir(path)
            .and_then(|entries| entries.collect::<io::Result<Vec<_>>>())
            .map(|entries| {
                let mut names: Vec<_> = entries.iter().map(fs::DirEntry::file_name).collect();
                names.sort_by(|a, b| a.as_bytes().cmp(b.as_bytes()));
                names
            });
        let names = match entries {
            Ok(names) => names,
            Err(error) => return self.unreadable(path, &error),
        };
        self.above.push(own);
        let mut directory = Directory {
            prefix: prefix.to_owned(),
            ..Directory::default()
        };
        for name in names {
            let entry = path.join(&name);
            match entry.metadata() {
                Ok(metadata) => self.entry(&mut directory, &name, entry, &metadata),
                Err(error) => self.unreadable(&entry, &error),
            }
        }
        self.above.pop();
        if directory.executables.is_empty() {
            self.without_tests(directory);
        } else {
            self.found.directories.push(directory);
        }
    }

    fn without_tests(&mut self, directory: Directory) {
        if let Some(path) = &directory.kola_json {
            self.warn(
                path,
                "applies to no test: a directory's kola.json is not inherited by those below it",
            );
        }
        for (path, message) in &directory.faults {
            self.warn(path, message);
        }
        let configs = [directory.butane, directory.ignition];
        self.found
            .idle_configs
            .extend(configs.into_iter().flatten());
    }

    fn entry(&mut self, into: &mut Directory, name: &OsStr, path: PathBuf, metadata: &Metadata) {
        // a name that is not UTF-8 could not be told apart from another in reports
        let text = name.to_str().unwrap_or("\n");
        if metadata.is_dir() {
            match text {
                "data" => {
                    let faults = self.data.faults(&path, identity(metadata));
                    into.faults.extend_from_slice(&faults);
                    into.data = Some(path);
                }
                "kolea-serve" => into.serve = Some(path),
                _ if text.contains(char::is_control) => self.bad_name(&path),
                _ => {
                    let prefix = format!("{}.{text}", into.prefix);
                    self.directory(&path, identity(metadata), &prefix);
                }
            }
            return;
        }
        // a FIFO must not even be opened
        if !metadata.is_file() {
            return;
        }
        // kola's rule: x for others, whoever owns the file
        let executable = metadata.mode() & 0o001 != 0;
        match text {
            "config.ign" | "config.bu" | "kola.json" => {
                if executable {
                    self.warn(
                        &path,
                        "is executable, so kola would run it as a test: chmod -x",
                    );
                }
                let identity = identity(metadata);
                match text {
                    "config.ign" => into.ignition = Some(ConfigFile { path, identity }),
                    "config.bu" => into.butane = Some(ConfigFile { path, identity }),
                    _ => into.kola_json = Some(path),
                }
            }
            "config.fcc" => into.faults.push((
                path,
                "is in a format that became Butane and is no longer read (kola drops the tests beside it): rename it to config.bu"
                    .to_owned(),
            )),
            _ if executable && text.contains(char::is_control) => self.bad_name(&path),
            _ if executable => into.executables.push(path),
            _ => self.not_executable(&path, metadata.mode()),
        }
    }

    fn bad_name(&mut self, path: &Path) {
        self.problems.push(Problem::error(
            path,
            None,
            "the name is not UTF-8 or has control characters, so no test can be named after it: rename it",
        ));
    }

    fn not_executable(&mut self, path: &Path, mode: u32) {
        if mode & 0o110 != 0 {
            self.warn(
                path,
                "is executable, but not for others, so it is no test: chmod a+x, or chmod a-x",
            );
            return;
        }
        let mut start = [0; 2];
        let read = File::open(path).and_then(|mut file| file.read(&mut start));
        if matches!(read, Ok(2)) && start == *b"#!" {
            self.warn(
                path,
                "starts with `#!` but is not executable for others, so it is no test: chmod a+x, or move it to data",
            );
        }
    }
}
