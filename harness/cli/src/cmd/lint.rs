//! `kolea lint`: everything that is wrong or doubtful in test trees, as text, as JSON, or as annotations on GitHub.

use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, ValueEnum};
use kolea_model::ExitCode;
use kolea_suite::{Linted, LoadOptions, Problem, Severity, TestTree};
use serde::Serialize;

use super::{Failure, Outcome};

/// `kolea lint`.
#[derive(Debug, Clone, Args)]
pub struct LintArgs {
    /// Directories with tests/kola, tests/kola directories themselves, or build working directories with src/config
    #[arg(value_name = "DIR", default_value = ".")]
    pub dirs: Vec<PathBuf>,
    /// How problems are shown: for people, for programs, or as annotations of a GitHub workflow
    #[arg(long, value_enum, default_value_t = LintFormat::Text)]
    pub format: LintFormat,
    /// Exit with 1 if there are warnings, too
    #[arg(long)]
    pub deny_warnings: bool,
    /// Translate Butane configs with this program instead of what is built in
    #[arg(long, value_name = "PROGRAM")]
    pub butane_program: Option<PathBuf>,
    /// Print the JSON schema of the metadata, and stop
    #[arg(long)]
    pub print_schema: bool,
}

/// `--format`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LintFormat {
    /// A line each, and one that counts them.
    Text,
    /// An object with all of them.
    Json,
    /// Workflow commands.
    Github,
}

/// Runs the subcommand.
pub fn main(args: &LintArgs) -> Outcome {
    if args.print_schema {
        let schema = kolea_suite::metadata_schema();
        let text = serde_json::to_string_pretty(&schema).context("cannot write the schema")?;
        print(&format!("{text}\n"));
        return Ok(ExitCode::Pass);
    }
    let mut trees = Vec::new();
    for dir in &args.dirs {
        let found = trees_of(dir).map_err(|error| {
            Failure::usage(anyhow!("cannot read test tree {}: {error}", dir.display()))
        })?;
        if found.is_empty() {
            return Err(Failure::usage(anyhow!(
                "{} holds no tests: it has neither tests/kola nor src/config/tests/kola",
                dir.display()
            )));
        }
        trees.extend(found);
    }
    let options = LoadOptions {
        butane_program: args.butane_program.clone(),
    };
    let mut linted = kolea_suite::lint(&trees, &options, chrono::Utc::now());
    let here = std::env::current_dir().unwrap_or_default();
    for problem in &mut linted.problems {
        problem.file = relative(&problem.file, &here);
    }
    print(&match args.format {
        LintFormat::Text => text(&linted),
        LintFormat::Json => json(&linted)?,
        LintFormat::Github => linted.problems.iter().map(annotation).collect(),
    });
    let fails = |problem: &Problem| args.deny_warnings || problem.severity == Severity::Error;
    Ok(if linted.problems.iter().any(fails) {
        ExitCode::Fail
    } else {
        ExitCode::Pass
    })
}

/// A closed pipe (`kolea lint | head`) is no error.
fn print(text: &str) {
    let _ = io::stdout().lock().write_all(text.as_bytes());
}

/// The trees that are in a directory, however it is laid out.
fn trees_of(dir: &Path) -> io::Result<Vec<TestTree>> {
    let config = dir.join("src/config");
    let mut found = Vec::new();
    found.extend(TestTree::from_exttest(dir)?);
    if config.is_dir() {
        found.extend(TestTree::in_dir(&config, "ext.config")?);
    }
    // `tests/kola` itself: named as if its grandparent had been given
    let real = dir.canonicalize()?;
    if found.is_empty()
        && real.ends_with("tests/kola")
        && let Some(parent) = real.parent().and_then(Path::parent)
    {
        found.extend(TestTree::from_exttest(parent)?);
    }
    Ok(found)
}

/// The path as seen from the working directory, where it is below that.
fn relative(path: &Path, here: &Path) -> PathBuf {
    let path = path.strip_prefix(here).unwrap_or(path);
    path.strip_prefix(".").unwrap_or(path).to_path_buf()
}

fn count(linted: &Linted, severity: Severity) -> usize {
    let problems = linted.problems.iter();
    problems
        .filter(|problem| problem.severity == severity)
        .count()
}

fn text(linted: &Linted) -> String {
    let mut text = String::new();
    for problem in &linted.problems {
        // writing to a string cannot fail
        let _ = writeln!(text, "{problem}");
    }
    let plural = |number: usize, what: &str| match number {
        1 => format!("1 {what}"),
        _ => format!("{number} {what}s"),
    };
    let _ = writeln!(
        text,
        "{}: {}, {}",
        plural(linted.tests, "test"),
        plural(count(linted, Severity::Error), "error"),
        plural(count(linted, Severity::Warning), "warning"),
    );
    text
}

#[derive(Serialize)]
struct JsonReport<'a> {
    tests: usize,
    errors: usize,
    warnings: usize,
    problems: Vec<JsonProblem<'a>>,
}

#[derive(Serialize)]
struct JsonProblem<'a> {
    severity: String,
    file: String,
    line: Option<usize>,
    column: Option<usize>,
    test: Option<&'a str>,
    message: &'a str,
}

fn json(linted: &Linted) -> anyhow::Result<String> {
    let report = JsonReport {
        tests: linted.tests,
        errors: count(linted, Severity::Error),
        warnings: count(linted, Severity::Warning),
        problems: linted
            .problems
            .iter()
            .map(|problem| JsonProblem {
                severity: problem.severity.to_string(),
                file: problem.file.to_string_lossy().into_owned(),
                line: problem.line,
                column: problem.column,
                test: problem.test.as_deref(),
                message: &problem.message,
            })
            .collect(),
    };
    let text =
        serde_json::to_string_pretty(&report).context("cannot write the problems as JSON")?;
    Ok(format!("{text}\n"))
}

/// A workflow command, such as `::error file=a,line=1::message`.
fn annotation(problem: &Problem) -> String {
    let file = problem.file.to_string_lossy();
    let mut command = format!("::{} file={}", problem.severity, property(&file));
    for (name, number) in [("line", problem.line), ("col", problem.column)] {
        if let Some(number) = number {
            let _ = write!(command, ",{name}={number}");
        }
    }
    format!("{command}::{}\n", data(&problem.message))
}

/// Escapes what would end a workflow command.
fn data(text: &str) -> String {
    text.replace('%', "%25")
        .replace('\r', "%0D")
        .replace('\n', "%0A")
}

/// Escapes what would end a property of a workflow command, as well.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn annotations_are_escaped() {
        let problem = Problem::error(Path::new("a,b:c%"), Some(3), "50% of: it fails");
        assert_eq!(
            annotation(&problem.clone().at_column(Some(7))),
            "::error file=a%2Cb%3Ac%25,line=3,col=7::50%25 of: it fails\n"
        );
        let problem = Problem::warning(Path::new("a"), None, "odd");
        assert_eq!(annotation(&problem), "::warning file=a::odd\n");
        assert_eq!(property("a\r\n"), "a%0D%0A");
    }

    #[test]
    fn paths_are_as_seen_from_the_working_directory() {
        let here = Path::new("/a/b");
        for (path, expected) in [
            ("/a/b/c", "c"),
            ("./c", "c"),
            ("../c", "../c"),
            ("/a/c", "/a/c"),
        ] {
            assert_eq!(relative(Path::new(path), here), Path::new(expected));
        }
    }

    #[test]
    fn trees_are_found_in_every_layout() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("work");
        for dir in ["one/tests/kola", "build/src/config/tests/kola", "none"] {
            std::fs::create_dir_all(path.join(dir)).unwrap();
        }
        let prefixes = |dir: &str| -> Vec<String> {
            let trees = trees_of(&path.join(dir)).unwrap();
            trees.into_iter().map(|tree| tree.prefix).collect()
        };
        assert_eq!(prefixes("one"), ["ext.one"]);
        assert_eq!(prefixes("one/tests/kola"), ["ext.one"]);
        assert_eq!(prefixes("build"), ["ext.config"]);
        assert_eq!(prefixes("none"), [""; 0]);
        assert!(trees_of(&path.join("missing")).is_err());
    }
}
