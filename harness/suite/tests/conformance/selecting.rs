//! Cases of selection, as they are written in the tables beside this file, and how they are checked.

// Each runner is a crate of its own and uses a part of this; helpers outside of #[test] functions are tests too.
#![allow(dead_code, clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;
use std::path::Path;

use chrono::{NaiveDate, NaiveTime};
use kolea_model::{OnFailure, Restriction, TestCase, TestSource};
use kolea_suite::{Decision, Denylist, Selection, Severity, explain, notes, select};
use serde::Deserialize;

/// A table.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The tests of every case that has none of its own.
    #[serde(default, rename = "test")]
    pub tests: Vec<Test>,
    #[serde(rename = "case")]
    pub cases: Vec<Case>,
    /// Where names are by their hashes.
    #[serde(default, rename = "part")]
    pub parts: Vec<Part>,
}

/// A name, and the part that it is in, by how many parts there are.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    pub name: String,
    pub of: BTreeMap<String, u64>,
}

/// A test, in the words of its metadata.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
pub struct Test {
    name: String,
    #[serde(default)]
    tags: String,
    required_tag: Option<String>,
    #[serde(default)]
    platforms: String,
    #[serde(default)]
    architectures: String,
    #[serde(default)]
    distros: String,
    /// Of compiled-in tests.
    #[serde(default)]
    firmwares: String,
    /// The day that the grace ends on, 30 days after `creationDate`.
    grace_until: Option<NaiveDate>,
    #[serde(default)]
    shared: bool,
    #[serde(default)]
    conflicts: Vec<String>,
}

/// A case: options of a run, and what comes of them.
#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Case {
    pub name: String,
    /// Where kola does otherwise, and why that is no model.
    pub differs: Option<String>,
    /// Instead of those of the table.
    #[serde(rename = "test")]
    tests: Option<Vec<Test>>,

    #[serde(default)]
    patterns: Vec<String>,
    #[serde(default)]
    tag: Vec<String>,
    #[serde(default)]
    no_net: bool,
    #[serde(default = "qemu")]
    platform: String,
    #[serde(default = "x86_64")]
    arch: String,
    distro: Option<String>,
    #[serde(default)]
    firmware: String,
    stream: Option<String>,
    osversion: Option<String>,
    #[serde(default)]
    run_platform_independent: bool,
    #[serde(default)]
    denylist_test: Vec<String>,
    #[serde(default)]
    run_denied: bool,
    sharding: Option<String>,
    #[serde(default)]
    multiply: u32,
    /// The day of the run, whose time is noon.
    #[serde(default = "today")]
    today: NaiveDate,
    /// The text of kola-denylist.yaml.
    #[serde(default)]
    denylist: String,

    /// What is wrong with the denylist.
    #[serde(default)]
    problems: Vec<String>,
    /// Whether what the console shows is no failure.
    #[serde(default)]
    console_warnings_skipped: bool,
    /// What is worth knowing.
    #[serde(default)]
    notes: Vec<String>,
    /// Part of the error, if there is one.
    error: Option<String>,
    /// What runs, in any order; nothing but that.
    #[serde(default)]
    run: Vec<String>,
    /// What was asked for and does not run, with the reasons; nothing but that.
    #[serde(default)]
    skip: BTreeMap<String, String>,
    /// What may fail, with the reasons; nothing but that.
    #[serde(default)]
    warn: BTreeMap<String, String>,
    /// What should fail, with the reasons; nothing but that.
    #[serde(default)]
    xfail: BTreeMap<String, String>,
    /// What some tests must not share a machine with.
    #[serde(default)]
    conflicts: BTreeMap<String, Vec<String>>,
}

fn qemu() -> String {
    "qemu".to_owned()
}

fn x86_64() -> String {
    "x86_64".to_owned()
}

fn today() -> NaiveDate {
    NaiveDate::from_ymd_opt(2026, 6, 15).unwrap()
}

/// The table of that name.
pub fn table(name: &str) -> Table {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/conformance");
    let path = dir.join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{name}: {error}"));
    toml::from_str(&text).unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Checks all cases, of which there are at least `least`.
pub fn check(table: &Table, least: usize) {
    assert!(table.cases.len() >= least, "{} cases", table.cases.len());
    let mut names: Vec<&str> = table.cases.iter().map(|case| case.name.as_str()).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), table.cases.len(), "two cases of one name");
    for case in &table.cases {
        check_case(table, case);
    }
}

fn check_case(table: &Table, case: &Case) {
    let name = &case.name;
    let tests = || -> Vec<TestCase> {
        let own = case.tests.as_ref().unwrap_or(&table.tests);
        own.iter().map(test_case).collect()
    };
    let (denylist, problems) = Denylist::parse(&case.denylist, Path::new("denylist"));
    let found: Vec<String> = problems.iter().map(ToString::to_string).collect();
    assert_eq!(found, case.problems, "{name}: problems");
    if problems
        .iter()
        .any(|problem| problem.severity == Severity::Error)
    {
        // Such a run does not begin.
        return;
    }
    let shard = case.sharding.as_deref().map(str::parse).transpose();
    let selection = shard.map(|shard| Selection {
        patterns: case.patterns.clone(),
        tags: case.tag.clone(),
        no_net: case.no_net,
        platform: case.platform.clone(),
        arch: case.arch.clone(),
        distro: case.distro.clone(),
        firmware: case.firmware.clone(),
        stream: case.stream.clone(),
        os_version: case.osversion.clone(),
        run_platform_independent: case.run_platform_independent,
        denylist,
        denied: case.denylist_test.clone(),
        run_denied: case.run_denied,
        shard,
        multiply: case.multiply,
        now: case
            .today
            .and_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap())
            .and_utc(),
    });
    let selection = match (selection, &case.error) {
        (Ok(selection), _) => selection,
        (Err(error), Some(expected)) => return contains(name, &error.to_string(), expected),
        (Err(error), None) => panic!("{name}: {error}"),
    };
    let skips = selection.denylist.skips_console_warnings(&selection);
    assert_eq!(skips, case.console_warnings_skipped, "{name}: console");
    assert_eq!(notes(&tests(), &selection), case.notes, "{name}: notes");
    let selected = match (select(tests(), &selection), &case.error) {
        (Ok(selected), None) => selected,
        (Ok(_), Some(expected)) => panic!("{name}: it runs, and should not: {expected}"),
        (Err(error), Some(expected)) => return contains(name, &error.to_string(), expected),
        (Err(error), None) => panic!("{name}: {error}"),
    };
    let mut run: Vec<&str> = selected.run.iter().map(|test| test.name.as_str()).collect();
    let mut expected: Vec<&str> = case.run.iter().map(String::as_str).collect();
    run.sort_unstable();
    expected.sort_unstable();
    assert_eq!(run, expected, "{name}: run");
    let skipped: BTreeMap<String, String> = selected
        .skipped
        .iter()
        .map(|(test, reason)| (test.name.clone(), reason.to_string()))
        .collect();
    assert_eq!(skipped, case.skip, "{name}: skip");
    let meaning = |pick: fn(&OnFailure) -> Option<&String>| -> BTreeMap<String, String> {
        selected
            .run
            .iter()
            .filter_map(|test| Some((test.name.clone(), pick(&test.on_failure)?.clone())))
            .collect()
    };
    let warn = meaning(|on_failure| match on_failure {
        OnFailure::Warn { why } => Some(why),
        _ => None,
    });
    assert_eq!(warn, case.warn, "{name}: warn");
    let xfail = meaning(|on_failure| match on_failure {
        OnFailure::Expected { why } => Some(why),
        _ => None,
    });
    assert_eq!(xfail, case.xfail, "{name}: xfail");
    for (test, conflicts) in &case.conflicts {
        let found = selected.run.iter().find(|own| own.name == *test);
        let found = found.unwrap_or_else(|| panic!("{name}: {test} does not run"));
        assert_eq!(found.conflicts, *conflicts, "{name}: conflicts of {test}");
    }
    // What is neither run nor skipped was not asked for, and says so.
    for (test, decision) in explain(tests(), &selection).unwrap() {
        let silent = !case.run.contains(&test.name) && !case.skip.contains_key(&test.name);
        let not_asked_for = matches!(decision, Decision::NotAskedFor(_));
        assert_eq!(not_asked_for, silent, "{name}: {}", test.name);
    }
}

fn contains(name: &str, text: &str, part: &str) {
    assert!(text.contains(part), "{name}: {text}");
}

fn test_case(test: &Test) -> TestCase {
    let mut tags = vec!["external".to_owned()];
    tags.extend(test.tags.split_whitespace().map(str::to_owned));
    let mut case = TestCase {
        required_tag: test.required_tag.clone(),
        platforms: restriction(&test.platforms),
        architectures: restriction(&test.architectures),
        distros: restriction(&test.distros),
        firmwares: restriction(&test.firmwares),
        grace_until: test
            .grace_until
            .map(|day| day.and_time(NaiveTime::MIN).and_utc()),
        exclusive: !test.shared,
        conflicts: test.conflicts.clone(),
        ..TestCase::new(&test.name, TestSource::Native)
    };
    case.needs.internet = tags.iter().any(|tag| tag == "needs-internet");
    case.tags = tags;
    case
}

fn restriction(text: &str) -> Restriction {
    let names = |text: &str| text.split_whitespace().map(str::to_owned).collect();
    match text.trim().strip_prefix('!') {
        Some(list) => Restriction {
            include: Vec::new(),
            exclude: names(list),
        },
        None => Restriction {
            include: names(text),
            exclude: Vec::new(),
        },
    }
}
