//! The suite of a run: compiled-in and external tests, and what is wrong with them.

use std::path::{Path, PathBuf};

use kolea_machine::NativeTest;
use kolea_model::TestCase;
use kolea_suite::{Problem, Severity, TestTree};

use crate::cmd::Failure;
use crate::program::warn;
use crate::workdir::Workdir;

/// Where coreos-assembler installs tests of its own.
const INSTALLED: &str = "/usr/lib/coreos-assembler/tests/kola";

/// Where tests are looked for, in kola's order.
fn trees(exttest: &[PathBuf], workdir: Option<&Workdir>) -> Result<Vec<TestTree>, Failure> {
    let mut trees = Vec::new();
    if Path::new(INSTALLED).is_dir() {
        trees.push(TestTree {
            dir: PathBuf::from(INSTALLED),
            prefix: "ext".to_owned(),
        });
    }
    let default = [PathBuf::from(".")];
    let named = !exttest.is_empty();
    for dir in if named { exttest } else { &default } {
        let tree = TestTree::from_exttest(dir).map_err(|error| {
            Failure::usage(anyhow::anyhow!(
                "cannot read test tree {}: {error}",
                dir.display()
            ))
        })?;
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
    if let Some(workdir) = workdir {
        let tree = TestTree {
            dir: workdir.config().join("tests/kola"),
            prefix: "ext.config".to_owned(),
        };
        // `-E src/config` as well would give every test two names.
        let known = |other: &TestTree| same(&other.dir, &tree.dir);
        if tree.dir.is_dir() && !trees.iter().any(known) {
            trees.push(tree);
        }
    }
    Ok(trees)
}

fn same(one: &Path, other: &Path) -> bool {
    matches!((one.canonicalize(), other.canonicalize()), (Ok(one), Ok(other)) if one == other)
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
    pub fn load(exttest: &[PathBuf], workdir: Option<&Workdir>) -> Result<LoadedSuite, Failure> {
        let trees = trees(exttest, workdir)?;
        let suite = kolea_suite::load(&trees);
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

    /// Prints what forbids to run the selected tests, and the warnings about them. Returns how many errors there are.
    pub fn print_problems_of(&self, selected: &[TestCase]) -> usize {
        let blocking = kolea_suite::blocking(&self.problems, selected);
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
