//! What `kolea list` prints.

use std::fmt::Write as _;

use kolea_model::{OnFailure, Restriction, TestCase};
use kolea_suite::Decision;
use serde::Serialize;
use serde_json::ser::{PrettyFormatter, Serializer};

/// What a test runs on that says nothing about it, and what is left where it excludes some: kola's lists, with the
/// architectures by their RPM names and the distributions that have a profile here.
const PLATFORMS: [&str; 8] = [
    "aws",
    "azure",
    "do",
    "esx",
    "gcp",
    "openstack",
    "qemu",
    "qemu-iso",
];
const ARCHITECTURES: [&str; 4] = ["aarch64", "ppc64le", "s390x", "x86_64"];
const DISTROS: [&str; 5] = ["fcos", "rhcos", "scos", "nestos", "flatcar"];

/// The tests, as kola lists them: columns aligned by tabs, a blank line below their titles; or as JSON, with kola's
/// fields and some more. Ends with a line feed.
pub fn show(tests: &[TestCase], json: bool) -> anyhow::Result<String> {
    if json {
        let rows: Vec<Row<'_>> = tests.iter().map(Row::new).collect();
        return to_json(&rows);
    }
    let mut rows = vec![
        [
            "Test Name",
            "Platforms",
            "Architectures",
            "Distributions",
            "Tags",
        ]
        .map(str::to_owned),
        <[String; 5]>::default(),
    ];
    rows.extend(tests.iter().map(|test| {
        [
            test.name.clone(),
            in_brackets(&test.platforms, &PLATFORMS),
            in_brackets(&test.architectures, &ARCHITECTURES),
            in_brackets(&test.distros, &DISTROS),
            format!("[{}]", test.tags.join(" ")),
        ]
    }));
    Ok(table(&rows))
}

/// What would become of each test, and why: as a table with a line of counts, or as JSON with the fields of [`show`]
/// and `Decision` (`run`, `skip`, `not asked for`, `error`) and `Reason`. Ends with a line feed.
pub fn show_why(explained: &[(TestCase, Decision)], json: bool) -> anyhow::Result<String> {
    if json {
        let rows: Vec<WhyRow<'_>> = explained
            .iter()
            .map(|(test, decision)| WhyRow {
                test: Row::new(test),
                decision: word(decision),
                reason: reason(test, decision),
            })
            .collect();
        return to_json(&rows);
    }
    let mut rows = vec![
        ["Test Name", "Decision", "Reason"].map(str::to_owned),
        <[String; 3]>::default(),
    ];
    rows.extend(explained.iter().map(|(test, decision)| {
        [
            test.name.clone(),
            word(decision).to_owned(),
            reason(test, decision),
        ]
    }));
    let mut text = table(&rows);
    let count = |wanted: &str| {
        let decisions = explained.iter();
        decisions
            .filter(|(_, decision)| word(decision) == wanted)
            .count()
    };
    let (run, skip) = (count(RUN), count(SKIP));
    let errors = count(ERROR);
    let others = explained.len() - run - skip - errors;
    let _infallible = write!(text, "\n{run} run, {skip} skipped, {others} not asked for");
    if errors > 0 {
        let _infallible = write!(text, ", {errors} with errors");
    }
    text.push('\n');
    Ok(text)
}

const RUN: &str = "run";
const SKIP: &str = "skip";
const ERROR: &str = "error";

fn word(decision: &Decision) -> &'static str {
    match decision {
        Decision::Run => RUN,
        Decision::Skip(_) => SKIP,
        Decision::NotAskedFor(_) => "not asked for",
        Decision::Refuse(_) => ERROR,
    }
}

/// Why it does not run; for a test that runs, what its failure means if that is something special.
fn reason(test: &TestCase, decision: &Decision) -> String {
    match (decision, &test.on_failure) {
        (Decision::Run, OnFailure::Fail) => String::new(),
        (Decision::Run, OnFailure::Warn { why }) => format!("a failure is a warning: {why}"),
        (Decision::Run, OnFailure::Expected { why }) => {
            format!("a failure is expected: denied by {why}")
        }
        (Decision::Skip(reason), _) => reason.to_string(),
        (Decision::NotAskedFor(why) | Decision::Refuse(why), _) => why.clone(),
    }
}

/// The names that are left of all known ones, or those that it is restricted to.
fn names<'a>(restriction: &'a Restriction, known: &[&'a str]) -> Vec<&'a str> {
    let mut names: Vec<&str> = if restriction.include.is_empty() {
        known.to_vec()
    } else {
        restriction.include.iter().map(String::as_str).collect()
    };
    names.retain(|name| !restriction.exclude.iter().any(|excluded| excluded == name));
    names
}

/// In Go's notation for lists.
fn in_brackets(restriction: &Restriction, known: &[&str]) -> String {
    if *restriction == Restriction::default() {
        return "[all]".to_owned();
    }
    format!("[{}]", names(restriction, known).join(" "))
}

/// Columns of at least one tab between them, as Go's text/tabwriter aligns them for kola, so that `cut -f1` and
/// `awk '{print $1}'` both work.
fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]]) -> String {
    const TAB: usize = 8;
    let mut widths = [0; COLUMNS];
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = cell.chars().count().max(*width);
        }
    }
    let mut text = String::new();
    for row in rows {
        let mut line = String::new();
        for (width, cell) in widths.iter().zip(row) {
            line.push_str(cell);
            let stops = width / TAB - cell.chars().count() / TAB;
            line.extend(std::iter::repeat_n('\t', stops + 1));
        }
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// kola's fields, and some more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    platforms: Vec<&'a str>,
    architectures: Vec<&'a str>,
    distros: Vec<&'a str>,
    tags: &'a [String],
    description: &'a str,
    exclusive: bool,
    fresh_boot: bool,
    timeout_seconds: u64,
}

impl<'a> Row<'a> {
    fn new(test: &'a TestCase) -> Row<'a> {
        Row {
            name: &test.name,
            platforms: names(&test.platforms, &PLATFORMS),
            architectures: names(&test.architectures, &ARCHITECTURES),
            distros: names(&test.distros, &DISTROS),
            tags: &test.tags,
            description: &test.description,
            exclusive: test.exclusive,
            fresh_boot: test.fresh_boot,
            timeout_seconds: test.time_limit().as_secs(),
        }
    }
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct WhyRow<'a> {
    #[serde(flatten)]
    test: Row<'a>,
    decision: &'static str,
    reason: String,
}

/// With kola's indentation.
fn to_json<T: Serialize>(rows: &[T]) -> anyhow::Result<String> {
    let mut json = Vec::new();
    let formatter = PrettyFormatter::with_indent(b"\t");
    rows.serialize(&mut Serializer::with_formatter(&mut json, formatter))?;
    json.push(b'\n');
    Ok(String::from_utf8(json)?)
}

#[cfg(test)]
#[path = "show_tests.rs"]
mod tests;
