//! The suite of a run: compiled-in and external tests, and what is wrong with them.

use std::path::PathBuf;

use kolea_machine::NativeTest;
use kolea_model::TestCase;
use kolea_suite::{Problem, Severity, TestTree};

use crate::cmd::Failure;

/// Everything that could run.
#[derive(Debug)]
pub struct LoadedSuite {
    /// Compiled-in and external tests, sorted by name.
    pub tests: Vec<TestCase>,
    problems: Vec<Problem>,
}

impl LoadedSuite {
    /// Reads the trees named by `-E` (the current directory if none is).
    pub fn load(exttest: &[PathBuf]) -> Result<LoadedSuite, Failure> {
        let default = [PathBuf::from(".")];
        let named = !exttest.is_empty();
        let mut trees = Vec::new();
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
                None if named => eprintln!(
                    "kolea: warning: {} holds no tests: it has no directory tests/kola",
                    dir.display()
                ),
                None => {}
            }
        }
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
