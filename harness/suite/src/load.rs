//! Trees to tests.

use std::collections::{HashMap, HashSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolea_model::{
    ExternalTest, MachineNeeds, OnFailure, Restriction, Served, ServerNeeds, TestCase, TestSource,
    UserConfig,
};

use crate::config::Configs;
use crate::data::DataScan;
use crate::fresh_boot::is_about_booting;
use crate::header::{self, Block};
use crate::metadata::{self, Metadata, unknown_conflict};
use crate::problem::{Problem, Severity};
use crate::tree::TestTree;
use crate::walk::{Directory, Identity, identity, walk};

/// What is in the trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Every test, sorted by name. A test with an error is among them, so that it can be listed and selected;
    /// [`crate::blocking`] tells whether it may run.
    pub tests: Vec<TestCase>,
    /// Everything that is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

/// How trees are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LoadOptions {
    /// A `butane` program that translates Butane configs instead of kolea itself (`--butane-program`).
    pub butane_program: Option<PathBuf>,
}

/// Reads all trees. Nothing ends it early: every problem of every tree is in the result.
pub fn load(trees: &[TestTree]) -> Suite {
    load_with(trees, &LoadOptions::default())
}

/// [`load`], otherwise than by default.
pub fn load_with(trees: &[TestTree], options: &LoadOptions) -> Suite {
    read(trees, options).0
}

/// The suite, and the configs that lie in directories without tests and are nobody's.
pub(crate) fn read(trees: &[TestTree], options: &LoadOptions) -> (Suite, Vec<PathBuf>) {
    let mut loader = Loader::new(options);
    let mut data = DataScan::default();
    let mut idle = Vec::new();
    let mut seen: HashMap<Identity, &TestTree> = HashMap::new();
    for tree in trees {
        if let Ok(metadata) = tree.dir.metadata()
            && let Some(first) = seen.insert(identity(&metadata), tree)
        {
            loader.problems.push(twice(tree, first));
            continue;
        }
        let walked = walk(tree, &mut data, &mut loader.problems);
        for directory in &walked.directories {
            loader.directory(directory);
        }
        idle.extend(walked.idle_configs);
    }
    idle.retain(|config| !loader.used.contains(&config.identity));
    let idle = idle.into_iter().map(|config| config.path).collect();
    (loader.finish(), idle)
}

/// One directory that was given as two trees.
fn twice(tree: &TestTree, first: &TestTree) -> Problem {
    let message = if tree.prefix == first.prefix {
        format!(
            "these tests are given twice, as {0}.*: give the tree once only (src/config of a build working directory is taken by itself)",
            tree.prefix
        )
    } else {
        format!(
            "these tests are given twice, as {}.* and {}.*: give the tree once only",
            first.prefix, tree.prefix
        )
    };
    Problem::error(&tree.dir, None, message)
}

/// What the head of a test's executable says of it: the test that [`load`] would make of it, but for config and data.
/// `path` is what problems name.
pub fn parse_header(name: &str, path: &Path, head: &[u8]) -> (TestCase, Vec<Problem>) {
    let header = header::scan(head);
    let mut notes = header.notes;
    let metadata = match &header.block {
        Some(block) => {
            let (metadata, more) = metadata::parse(block);
            notes.extend(more);
            metadata
        }
        None => Metadata::default(),
    };
    let external = ExternalTest {
        executable: path.to_path_buf(),
        data: None,
    };
    let problems = notes
        .into_iter()
        .map(|note| note.in_file(path).in_test(name));
    let problems = problems.collect();
    (case(name, external, metadata, None), problems)
}

/// An error for every test whose name another test has, too.
pub fn duplicates(tests: &[TestCase]) -> Vec<Problem> {
    let mut first: HashMap<&str, &TestCase> = HashMap::new();
    let mut problems = Vec::new();
    for test in tests {
        if let Some(other) = first.get(test.name.as_str()) {
            let message = format!(
                "the test `{}` exists already: {}; rename one of them, or give the tree once only",
                test.name,
                origin(other).display()
            );
            problems.push(Problem::error(origin(test), None, message).in_test(&test.name));
        } else {
            first.insert(&test.name, test);
        }
    }
    problems
}

/// The needs with the directory that is served to the tests' machine.
fn served(needs: MachineNeeds, directory: &Directory) -> MachineNeeds {
    MachineNeeds {
        server: directory.serve.as_ref().map(|path| ServerNeeds {
            contents: [("/".to_owned(), Served::Directory(path.clone()))].into(),
            ..ServerNeeds::default()
        }),
        ..needs
    }
}

/// The file that a test comes from.
pub(crate) fn origin(test: &TestCase) -> &Path {
    match &test.source {
        TestSource::External(external) => &external.executable,
        TestSource::Native => Path::new("compiled into kolea"),
    }
}

#[derive(Default)]
struct Loader {
    tests: Vec<TestCase>,
    problems: Vec<Problem>,
    configs: Configs,
    /// The configs that tests have.
    used: HashSet<Identity>,
    /// Where each test's conflicts stand, for those that have any.
    conflicts: Vec<(usize, PathBuf, usize)>,
}

/// What the tests of one directory have in common.
struct Shared {
    config: Option<UserConfig>,
    /// What `kola.json` says, for tests that say nothing themselves.
    defaults: Option<Metadata>,
    /// What keeps each of the tests from running.
    errors: Vec<Problem>,
    /// What keeps those from running that do not allow it.
    config_warnings: Vec<Problem>,
}

impl Loader {
    fn new(options: &LoadOptions) -> Loader {
        Loader {
            configs: Configs::new(options.butane_program.clone()),
            ..Loader::default()
        }
    }

    fn directory(&mut self, directory: &Directory) {
        let shared = self.shared(directory);
        for (name, executable) in directory.tests() {
            let errors = shared.errors.iter().cloned();
            self.problems
                .extend(errors.map(|problem| problem.blocking_only(&name)));
            self.test(&name, executable, directory, &shared);
        }
    }

    fn shared(&mut self, directory: &Directory) -> Shared {
        let mut shared = Shared {
            config: None,
            defaults: None,
            errors: Vec::new(),
            config_warnings: Vec::new(),
        };
        for (path, message) in &directory.faults {
            let problem = Problem::error(path, None, message.clone());
            shared.errors.push(problem);
        }
        let chosen = match (&directory.ignition, &directory.butane) {
            (Some(file), butane) => {
                if let Some(butane) = butane {
                    self.used.insert(butane.identity);
                    self.problems.push(Problem::warning(
                        &butane.path,
                        None,
                        "is not used, since there is a config.ign: remove one of them",
                    ));
                }
                Some((file, self.configs.ignition(file)))
            }
            (None, Some(file)) => Some((file, self.configs.butane(file))),
            (None, None) => None,
        };
        if let Some((file, rendered)) = chosen {
            self.used.insert(file.identity);
            for note in &rendered.notes {
                let mut problem = note.clone().in_file(&file.path);
                problem.line = problem.line.filter(|line| *line > 0);
                match note.severity {
                    Severity::Error => shared.errors.push(problem),
                    Severity::Warning => shared.config_warnings.push(problem),
                }
            }
            shared.config = rendered.text.as_ref().map(|text| UserConfig {
                path: file.path.clone(),
                text: Arc::clone(text),
            });
        }
        if let Some(path) = &directory.kola_json {
            shared.defaults = self.kola_json(path);
        }
        shared
    }

    fn kola_json(&mut self, path: &Path) -> Option<Metadata> {
        match fs::read_to_string(path) {
            Ok(text) => {
                let (metadata, notes) = metadata::parse(&Block::Json { line: 1, text });
                let problems = notes.into_iter().map(|note| note.in_file(path));
                self.problems.extend(problems);
                Some(metadata)
            }
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.problems.push(Problem::error(path, None, message));
                None
            }
        }
    }

    fn test(&mut self, name: &str, path: &Path, directory: &Directory, shared: &Shared) {
        let header = match File::open(path).and_then(|mut file| header::read(&mut file)) {
            Ok(header) => header,
            Err(error) => {
                let problem = Problem::error(path, None, format!("cannot be read: {error}"));
                self.problems.push(problem.in_test(name));
                header::Header::default()
            }
        };
        let mut notes = header.notes;
        // the file that the metadata is in
        let mut said_in = path;
        let metadata = match (&header.block, &shared.defaults) {
            (Some(block), defaults) => {
                if let (Some(_), Some(file)) = (defaults, &directory.kola_json) {
                    let message =
                        format!("the test has metadata of its own, so `{name}` does not use it");
                    let problem = Problem::warning(file, None, message);
                    self.problems.push(problem.in_test(name));
                }
                let (metadata, more) = metadata::parse(block);
                notes.extend(more);
                metadata
            }
            (None, Some(defaults)) => {
                said_in = directory.kola_json.as_deref().unwrap_or(path);
                defaults.clone()
            }
            (None, None) => Metadata::default(),
        };
        let problems = notes
            .into_iter()
            .map(|note| note.in_file(path).in_test(name));
        self.problems.extend(problems);
        self.config_warnings(name, metadata.allow_config_warnings, shared);
        if !metadata.conflicts.is_empty() {
            let line = metadata.conflicts_line;
            let index = self.tests.len();
            self.conflicts.push((index, said_in.to_path_buf(), line));
        }
        self.tests.push(case(
            name,
            ExternalTest {
                executable: path.to_path_buf(),
                data: directory.data.clone(),
            },
            Metadata {
                needs: served(metadata.needs, directory),
                ..metadata
            },
            shared.config.clone(),
        ));
    }

    /// Warnings about the config are errors of a test that does not say `allowConfigWarnings`.
    fn config_warnings(&mut self, name: &str, allowed: bool, shared: &Shared) {
        let warnings = shared.config_warnings.iter().cloned();
        self.problems.extend(warnings.map(|mut problem| {
            if allowed {
                return problem.in_test(name);
            }
            problem.severity = Severity::Error;
            problem
                .message
                .push_str("; if it is meant, set `allowConfigWarnings: true`");
            problem.blocking_only(name)
        }));
    }

    fn finish(mut self) -> Suite {
        let names: HashSet<&str> = self.tests.iter().map(|test| &*test.name).collect();
        for (index, path, line) in &self.conflicts {
            let test = &self.tests[*index];
            for name in &test.conflicts {
                let message = if *name == test.name {
                    format!("`conflicts`: `{name}` names itself: remove it")
                } else if names.contains(name.as_str()) {
                    continue;
                } else {
                    unknown_conflict(name, names.iter().copied())
                };
                let problem = Problem::warning(path, Some(*line), message);
                self.problems.push(problem.in_test(&test.name));
            }
        }
        self.tests.sort_by(|a, b| a.name.cmp(&b.name));
        self.problems.extend(duplicates(&self.tests));
        self.problems
            .sort_by(|a, b| (&a.file, a.line, a.column).cmp(&(&b.file, b.line, b.column)));
        self.problems.dedup();
        Suite {
            tests: self.tests,
            problems: self.problems,
        }
    }
}

fn case(
    name: &str,
    external: ExternalTest,
    metadata: Metadata,
    config: Option<UserConfig>,
) -> TestCase {
    let mut tags = vec!["external".to_owned()];
    for tag in metadata.tags {
        if !tags.contains(&tag) {
            tags.push(tag);
        }
    }
    let fresh_boot = metadata
        .fresh_boot
        .unwrap_or_else(|| is_about_booting(name, &tags));
    TestCase {
        name: name.to_owned(),
        description: metadata.description,
        source: TestSource::External(external),
        tags,
        required_tag: metadata.required_tag,
        architectures: metadata.architectures,
        platforms: metadata.platforms,
        distros: metadata.distros,
        exclusive: metadata.exclusive,
        conflicts: metadata.conflicts,
        timeout: metadata.timeout,
        needs: metadata.needs,
        config,
        fresh_boot,
        grace_until: metadata.grace_until,
        host_ports: metadata.host_ports,
        inject_container: metadata.inject_container,
        firmwares: Restriction::default(),
        on_failure: OnFailure::Fail,
        copy_of: None,
        machines: 1,
    }
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
