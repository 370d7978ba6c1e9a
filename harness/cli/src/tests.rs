//! The suite of a run: compiled-in and external tests, and what is wrong with them.

use std::path::{Path, PathBuf};

use kolea_machine::NativeTest;
use kolea_model::TestCase;
use kolea_suite::{LoadOptions, Problem, Selection, Severity, TestTree};

use crate::cmd::Failure;
use crate::program::warn;
use crate::settings::Settings;
use crate::workdir::Workdir;

/// Where tests are looked for, in kola's order.
fn trees(exttest: &[PathBuf], workdir: Option<&Workdir>) -> Result<Vec<TestTree>, Failure> {
    let mut trees = Vec::new();
    let unreadable = |dir: &Path, error: std::io::Error| {
        Failure::usage(anyhow::anyhow!(
            "cannot read test tree {}: {error}",
            dir.display()
        ))
    };
    let installed = TestTree::installed();
    trees.extend(installed.map_err(|error| unreadable(Path::new("/usr/lib"), error))?);
    let default = [PathBuf::from(".")];
    let named = !exttest.is_empty();
    for dir in if named { exttest } else { &default } {
        let tree = TestTree::from_exttest(dir).map_err(|error| unreadable(dir, error))?;
        match tree {
            Some(tree) => trees.push(tree),
            // kola passes over it in silence; a directory that was named should hold something.
            None if named => warn(format_args!(
                "{} holds no tests: it has no directory tests/kola",
                dir.display()
            )),
            None => {}
        }
    }
    if let Some(config) = workdir.map(Workdir::config).filter(|dir| dir.is_dir()) {
        let tree = TestTree::in_dir(&config, "ext.config");
        trees.extend(tree.map_err(|error| unreadable(&config, error))?);
    }
    Ok(trees)
}

/// Everything that could run.
#[derive(Debug)]
pub struct LoadedSuite {
    /// Compiled-in and external tests, sorted by name.
    pub tests: Vec<TestCase>,
    problems: Vec<Problem>,
}

impl LoadedSuite {
    /// Reads the trees named by `-E` (the current directory if none is), those of the working directory, and those that are
    /// installed with coreos-assembler.
    pub fn load(
        exttest: &[PathBuf],
        workdir: Option<&Workdir>,
        butane_program: Option<&Path>,
    ) -> Result<LoadedSuite, Failure> {
        let options = LoadOptions {
            butane_program: butane_program.map(Path::to_path_buf),
        };
        let suite = kolea_suite::load_with(&trees(exttest, workdir)?, &options);
        let mut tests = suite.tests;
        let mut problems = suite.problems;
        tests.extend(kolea_suites::all().iter().map(NativeTest::test_case));
        tests.sort_by(|a, b| a.name.cmp(&b.name));
        for problem in kolea_suite::duplicates(&tests) {
            if !problems.contains(&problem) {
                problems.push(problem);
            }
        }
        Ok(LoadedSuite { tests, problems })
    }

    /// The compiled-in tests with that tag, and no others.
    pub fn tagged(tag: &str) -> LoadedSuite {
        let tests = kolea_suites::all().iter().map(NativeTest::test_case);
        LoadedSuite {
            tests: tests.filter(|test| test.has_tag(tag)).collect(),
            problems: Vec::new(),
        }
    }

    /// [`LoadedSuite::load`] for a run.
    pub fn of(settings: &Settings) -> Result<LoadedSuite, Failure> {
        LoadedSuite::load(
            &settings.exttest,
            settings.workdir.as_ref(),
            settings.butane_program.as_deref(),
        )
    }

    /// Whether anything is an error, of whatever test.
    pub fn has_errors(&self) -> bool {
        self.problems
            .iter()
            .any(|problem| problem.severity == Severity::Error)
    }

    /// Prints all problems on standard error, one line each.
    pub fn print_problems(&self) {
        for problem in &self.problems {
            eprintln!("{problem}");
        }
    }

    /// Why a run with this test would be refused, in one line.
    pub fn refusal(&self, test: &TestCase) -> Option<String> {
        let blocking = kolea_suite::blocking(&self.problems, std::slice::from_ref(test));
        let own = |problem: &&&Problem| problem.test.as_deref() == Some(&*test.name);
        blocking.iter().find(own).map(|problem| problem.to_string())
    }

    /// Prints what forbids to run the selected tests, and the warnings about them. Returns how many errors there are.
    ///
    /// A test that is denied need not even be readable, as with kola.
    pub fn print_problems_of(&self, selected: &[TestCase], selection: &Selection) -> usize {
        let denied = |problem: &Problem| {
            let name = problem.test.as_deref();
            name.is_some_and(|name| kolea_suite::denies(selection, name).unwrap_or(false))
        };
        let mut blocking = kolea_suite::blocking(&self.problems, selected);
        blocking.retain(|problem| !denied(problem));
        let warnings = self.problems.iter().filter(|problem| {
            problem.severity == Severity::Warning
                && problem
                    .test
                    .as_ref()
                    .is_none_or(|name| selected.iter().any(|test| &test.name == name))
        });
        for problem in warnings.chain(blocking.iter().copied()) {
            eprintln!("{problem}");
        }
        blocking.len()
    }
}
