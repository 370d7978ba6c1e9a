//! Trees to tests.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use kolea_model::{
    ExternalTest, MachineNeeds, OnFailure, Restriction, TestCase, TestSource, UserConfig,
};

use crate::fresh_boot::is_about_booting;
use crate::header::{self, Block};
use crate::metadata::{self, Metadata, unknown_conflict};
use crate::problem::{Problem, Severity};
use crate::tree::TestTree;
use crate::walk::{Directory, walk};

/// What is in the trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Suite {
    /// Every test, sorted by name. A test with an error is among them, so that it can be listed and selected;
    /// [`crate::blocking`] tells whether it may run.
    pub tests: Vec<TestCase>,
    /// Everything that is wrong, in the order of the files.
    pub problems: Vec<Problem>,
}

/// Reads all trees. Nothing ends it early: every problem of every tree is in the result.
pub fn load(trees: &[TestTree]) -> Suite {
    let mut loader = Loader::default();
    for tree in trees {
        for directory in walk(tree, &mut loader.problems) {
            loader.directory(&directory);
        }
    }
    loader.finish()
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

/// The file that a test comes from.
fn origin(test: &TestCase) -> &Path {
    match &test.source {
        TestSource::External(external) => &external.executable,
        TestSource::Native => Path::new("compiled into kolea"),
    }
}

#[derive(Default)]
struct Loader {
    tests: Vec<TestCase>,
    problems: Vec<Problem>,
    /// Where each test's conflicts stand, for those that have any.
    conflicts: Vec<(usize, PathBuf, usize)>,
}

/// What the tests of one directory have in common.
struct Shared {
    config: Option<UserConfig>,
    /// What `kola.json` says, for tests that say nothing themselves.
    defaults: Option<Metadata>,
    /// Errors that keep each of the tests from running.
    errors: Vec<(PathBuf, Option<usize>, String)>,
}

impl Loader {
    fn directory(&mut self, directory: &Directory) {
        let shared = self.shared(directory);
        for (name, executable) in directory.tests() {
            for (path, line, message) in &shared.errors {
                let problem = Problem::error(path, *line, message.clone());
                self.problems.push(problem.blocking_only(&name));
            }
            self.test(&name, executable, directory, &shared);
        }
    }

    fn shared(&mut self, directory: &Directory) -> Shared {
        let mut shared = Shared {
            config: None,
            defaults: None,
            errors: Vec::new(),
        };
        if let Some(path) = &directory.ignition {
            match read_config(path) {
                Ok(config) => shared.config = Some(config),
                Err((line, message)) => shared.errors.push((path.clone(), line, message)),
            }
        }
        match (&directory.butane, &directory.ignition) {
            (Some(butane), Some(_)) => self.problems.push(Problem::warning(
                butane,
                None,
                "is not used, since there is a config.ign: remove one of them",
            )),
            (Some(butane), None) => shared.errors.push((
                butane.clone(),
                None,
                "config.bu is not supported yet: turn it into config.ign with butane".to_owned(),
            )),
            (None, _) => {}
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
                for (severity, line, message) in notes {
                    self.note(path, None, severity, line, message);
                }
                Some(metadata)
            }
            Err(error) => {
                let message = format!("cannot be read: {error}");
                self.problems.push(Problem::error(path, None, message));
                None
            }
        }
    }

    fn note(
        &mut self,
        path: &Path,
        test: Option<&str>,
        severity: Severity,
        line: usize,
        message: String,
    ) {
        let problem = Problem {
            severity,
            ..Problem::error(path, Some(line), message)
        };
        self.problems.push(match test {
            Some(test) => problem.in_test(test),
            None => problem,
        });
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
        for note in header.notes {
            self.note(path, Some(name), note.severity, note.line, note.message);
        }
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
                let (metadata, notes) = metadata::parse(block);
                for (severity, line, message) in notes {
                    self.note(path, Some(name), severity, line, message);
                }
                metadata
            }
            (None, Some(defaults)) => {
                said_in = directory.kola_json.as_deref().unwrap_or(path);
                defaults.clone()
            }
            (None, None) => Metadata::default(),
        };
        for (line, message) in &metadata.unsupported {
            let message = format!("{message}, so `{name}` cannot run");
            let problem = Problem::error(said_in, Some(*line), message);
            self.problems.push(problem.blocking_only(name));
        }
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
            metadata,
            shared.config.clone(),
        ));
    }

    fn finish(mut self) -> Suite {
        let names: HashMap<&str, ()> = self.tests.iter().map(|test| (&*test.name, ())).collect();
        for (index, path, line) in &self.conflicts {
            let test = &self.tests[*index];
            for name in &test.conflicts {
                if !names.contains_key(name.as_str()) {
                    let message = unknown_conflict(name, names.keys().copied());
                    let problem = Problem::warning(path, Some(*line), message);
                    self.problems.push(problem.in_test(&test.name));
                }
            }
        }
        self.tests.sort_by(|a, b| a.name.cmp(&b.name));
        self.problems.extend(duplicates(&self.tests));
        self.problems
            .sort_by(|a, b| (&a.file, a.line).cmp(&(&b.file, b.line)));
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
    let tagged = |wanted: &str| tags.iter().any(|tag| tag == wanted);
    let needs = MachineNeeds {
        memory_mib: metadata.memory_mib,
        disk_gib: metadata.disk_gib,
        internet: tagged("needs-internet"),
        skip_base_checks: tagged("skip-base-checks"),
        ..MachineNeeds::default()
    };
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
        needs,
        config,
        fresh_boot,
        grace_until: metadata.grace_until,
        host_ports: Vec::new(),
        inject_container: false,
        firmwares: Restriction::default(),
        on_failure: OnFailure::Fail,
        copy_of: None,
    }
}

/// Reads an Ignition config. Only what every version has in common is checked here: it is JSON, and says its version.
fn read_config(path: &Path) -> Result<UserConfig, (Option<usize>, String)> {
    let text =
        fs::read_to_string(path).map_err(|error| (None, format!("cannot be read: {error}")))?;
    let config: serde_json::Value = serde_json::from_str(&text).map_err(|error| {
        let message = format!("the Ignition config is not valid JSON: {error}");
        (Some(error.line().max(1)), message)
    })?;
    if config
        .pointer("/ignition/version")
        .and_then(|v| v.as_str())
        .is_none()
    {
        let message = "the Ignition config does not say its version: add {\"ignition\": {\"version\": \"3.0.0\"}}";
        return Err((None, message.to_owned()));
    }
    Ok(UserConfig {
        path: path.to_path_buf(),
        text: Arc::from(text),
    })
}

#[cfg(test)]
#[path = "load_tests.rs"]
mod tests;
