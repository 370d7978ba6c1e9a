//! Everything that is wrong or doubtful in test trees: what [`load`](crate::load) finds, and what only a second look
//! finds. `docs/lint.md` has the list.

mod names;
mod script;
mod server;

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Duration, Utc};
use kolea_model::{TestCase, TestSource};

use crate::denylist::Denylist;
use crate::load::{LoadOptions, Suite, origin, read};
use crate::pattern::Pattern;
use crate::problem::{Problem, Severity};
use crate::tree::TestTree;

/// Longer time limits, in minutes, were probably meant as seconds.
const MOST_MINUTES: u64 = 6 * 60;
/// How names of files end that editors and version control leave behind.
const LEFT_BEHIND: [&str; 6] = ["~", ".bak", ".orig", ".rej", ".swp", ".tmp"];

/// What came of a look at test trees.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Linted {
    /// How many tests there are.
    pub tests: usize,
    /// Everything that is wrong or doubtful, in the order of the files, each once however many tests it concerns.
    pub problems: Vec<Problem>,
}

/// Looks at the trees, and at the denylists beside them. `now` is for dates that lie in the future.
pub fn lint(trees: &[TestTree], options: &LoadOptions, now: DateTime<Utc>) -> Linted {
    let (suite, idle_configs) = read(trees, options);
    let mut problems = suite.problems.clone();
    for path in &idle_configs {
        let message =
            "no test uses this config: there is no test beside it, and none below it inherits it";
        problems.push(Problem::warning(path, None, message));
    }
    // what is said there may be lost
    let unread: HashSet<&str> = suite
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .filter_map(|problem| problem.test.as_deref())
        .collect();
    for test in &suite.tests {
        if test.description.is_empty() && !unread.contains(test.name.as_str()) {
            let message = "has no `description`: say in one line what it proves";
            let problem = Problem::warning(origin(test), None, message);
            problems.push(problem.in_test(&test.name));
        }
        check_test(test, now, &mut problems);
    }
    let mut seen = HashSet::new();
    for tree in trees {
        if let Some(path) = denylist_beside(tree)
            && seen.insert(path.clone())
        {
            check_denylist(&path, &suite, trees, &mut problems);
        }
    }
    problems.sort_by(|a, b| {
        (&a.file, a.line, a.column, &a.message).cmp(&(&b.file, b.line, b.column, &b.message))
    });
    // one config may concern many tests
    problems.dedup_by(|a, b| (&a.file, a.line, &a.message) == (&b.file, b.line, &b.message));
    Linted {
        tests: suite.tests.len(),
        problems,
    }
}

fn check_test(test: &TestCase, now: DateTime<Utc>, problems: &mut Vec<Problem>) {
    let TestSource::External(external) = &test.source else {
        return;
    };
    let path = &external.executable;
    // what cannot be read is told already
    let bytes = script::read(path).unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let mut warn = |line: Option<usize>, message: String| {
        problems.push(Problem::warning(path, line, message).in_test(&test.name));
    };
    if let Some(minutes) = test.timeout.map(|limit| limit.as_secs() / 60)
        && minutes > MOST_MINUTES
    {
        let hours = minutes / 60;
        let message = format!(
            "`timeoutMin`: {minutes} minutes are {hours} hours: it is counted in minutes, not seconds"
        );
        warn(names::line_of(&text, "timeoutMin"), message);
    }
    let grace = Duration::days(30);
    if test
        .grace_until
        .is_some_and(|until| until - grace > now + Duration::days(1))
    {
        let message = "`creationDate` lies in the future".to_owned();
        warn(names::line_of(&text, "creationDate"), message);
    }
    let file = path.file_name().unwrap_or_default().to_string_lossy();
    if LEFT_BEHIND.iter().any(|suffix| file.ends_with(suffix)) {
        warn(
            None,
            "runs as a test, and looks like a file left behind: remove it, or chmod -x".to_owned(),
        );
    }
    for (line, message) in names::check(test, &text) {
        warn(line, message);
    }
    problems.extend(script::check(test, external, &bytes, &text));
    for message in server::check(test) {
        let config = test.config.as_ref().map_or(path, |config| &config.path);
        problems.push(Problem::warning(config, None, message).in_test(&test.name));
    }
}

/// `DIR/kola-denylist.yaml` for the tree `DIR/tests/kola`.
fn denylist_beside(tree: &TestTree) -> Option<PathBuf> {
    let dir = tree.dir.canonicalize().ok()?;
    if !dir.ends_with("tests/kola") {
        return None;
    }
    let path = dir.parent()?.parent()?.join("kola-denylist.yaml");
    path.is_file().then_some(path)
}

fn check_denylist(path: &Path, suite: &Suite, trees: &[TestTree], problems: &mut Vec<Problem>) {
    let text = match fs::read_to_string(path) {
        Ok(text) => text,
        Err(error) => {
            let message = format!("cannot be read: {error}");
            problems.push(Problem::error(path, None, message));
            return;
        }
    };
    let (denylist, found) = Denylist::parse(&text, path);
    problems.extend(found);
    for entry in &denylist.entries {
        let Ok(pattern) = Pattern::new(&entry.pattern) else {
            continue;
        };
        // a denylist may be of another suite, too, and of tests that are compiled in
        let ours = trees.iter().any(|tree| {
            let prefix = tree.prefix.as_str();
            entry.pattern == prefix || entry.pattern.starts_with(&format!("{prefix}."))
        });
        if ours && !suite.tests.iter().any(|test| pattern.matches(&test.name)) {
            let line = names::line_of(&text, &entry.pattern);
            let message = format!("`{}` matches no test: remove the entry", entry.pattern);
            problems.push(Problem::warning(path, line, message));
        }
    }
}

#[cfg(test)]
#[path = "lint_tests.rs"]
mod tests;
