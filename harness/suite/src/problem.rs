//! What is wrong with a test tree.

use std::collections::HashSet;
use std::fmt;
use std::path::{Path, PathBuf};

use kolea_model::TestCase;

/// How bad a [`Problem`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// The tree, or the one test that it blocks, cannot be run as it is.
    Error,
    /// It runs, but probably not as its author meant.
    Warning,
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Severity::Error => "error",
            Severity::Warning => "warning",
        })
    }
}

/// One thing that is wrong with a test tree. Shown as `path:line:column: error: message`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// How bad it is.
    pub severity: Severity,
    /// The file it is in.
    pub file: PathBuf,
    /// The line, counted from 1, where there is one.
    pub line: Option<usize>,
    /// The column, counted from 1 in characters, where it is known.
    pub column: Option<usize>,
    /// The test it concerns, where it is one test.
    pub test: Option<String>,
    /// Whether an error keeps only [`Problem::test`] from running; any other error keeps the whole tree from it.
    pub blocks_test_only: bool,
    /// What is wrong and what to do, in one line.
    pub message: String,
}

impl Problem {
    /// An error that makes the tree as a whole unfit to run.
    pub fn error(file: &Path, line: Option<usize>, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Error,
            file: file.to_path_buf(),
            line,
            column: None,
            test: None,
            blocks_test_only: false,
            // What is quoted from a file may have line breaks and escape sequences.
            message: message.into().replace(char::is_control, " "),
        }
    }

    /// Something to look at.
    pub fn warning(file: &Path, line: Option<usize>, message: impl Into<String>) -> Problem {
        Problem {
            severity: Severity::Warning,
            ..Problem::error(file, line, message)
        }
    }

    /// The same problem, known to be at this column of its line.
    pub fn at_column(mut self, column: Option<usize>) -> Problem {
        self.column = column;
        self
    }

    /// The same problem, known to be in `test`.
    pub fn in_test(mut self, test: &str) -> Problem {
        self.test = Some(test.to_owned());
        self
    }

    /// The same problem, keeping nothing but `test` from running.
    pub fn blocking_only(mut self, test: &str) -> Problem {
        self.blocks_test_only = true;
        self.in_test(test)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.file.display())?;
        if let Some(line) = self.line {
            write!(f, ":{line}")?;
            if let Some(column) = self.column {
                write!(f, ":{column}")?;
            }
        }
        write!(f, ": {}: {}", self.severity, self.message)
    }
}

/// Something wrong in a text, before it is known which file that is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Note {
    pub severity: Severity,
    pub line: usize,
    pub column: Option<usize>,
    pub message: String,
}

impl Note {
    pub fn error(line: usize, message: impl Into<String>) -> Note {
        Note {
            severity: Severity::Error,
            line,
            column: None,
            message: message.into(),
        }
    }

    pub fn warning(line: usize, message: impl Into<String>) -> Note {
        Note {
            severity: Severity::Warning,
            ..Note::error(line, message)
        }
    }

    pub fn at(mut self, column: usize) -> Note {
        self.column = Some(column);
        self
    }

    /// The problem that it is in `file`.
    pub fn in_file(self, file: &Path) -> Problem {
        Problem {
            severity: self.severity,
            ..Problem::error(file, Some(self.line), self.message).at_column(self.column)
        }
    }
}

/// Those of the problems that forbid to run the tests in `run`: every error but those of single tests that are not
/// among them.
pub fn blocking<'a>(problems: &'a [Problem], run: &[TestCase]) -> Vec<&'a Problem> {
    let names: HashSet<&str> = run.iter().map(|test| test.name.as_str()).collect();
    let concerned = |problem: &Problem| {
        !problem.blocks_test_only
            || problem
                .test
                .as_deref()
                .is_none_or(|test| names.contains(test))
    };
    problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error && concerned(problem))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_problem_reads_like_a_compiler_message() {
        let problem = Problem::error(Path::new("a/b"), Some(3), "unknown key `x`");
        assert_eq!(problem.to_string(), "a/b:3: error: unknown key `x`");
        let problem = problem.at_column(Some(7));
        assert_eq!(problem.to_string(), "a/b:3:7: error: unknown key `x`");
        let problem = Problem::warning(Path::new("a/b"), None, "odd");
        assert_eq!(problem.to_string(), "a/b: warning: odd");
    }

    /// Found by fuzzing: a folded key brought line breaks into a message.
    #[test]
    fn a_problem_is_one_line() {
        let (_, problems) = crate::parse_header(
            "ext.a",
            Path::new("a"),
            b"#!/bin/sh\n## kola:\n## ? a\n##\x20\n## \x20\n##   b\n\n",
        );
        assert!(!problems.is_empty());
        let problem = Problem::error(Path::new("a"), None, "unknown key `a\nb\u{1b}[1m`");
        assert_eq!(problem.message, "unknown key `a b [1m`");
        for problem in problems {
            assert!(!problem.message.contains(char::is_control), "{problem}");
        }
    }

    #[test]
    fn an_error_of_one_test_blocks_that_test_only() {
        let problems = [
            Problem::error(Path::new("a"), None, "one").blocking_only("ext.a"),
            Problem::warning(Path::new("b"), None, "two"),
        ];
        assert!(blocking(&problems, &[]).is_empty());
        let problems = [Problem::error(Path::new("a"), None, "x").in_test("ext.a")];
        assert_eq!(blocking(&problems, &[]).len(), 1);
    }
}
