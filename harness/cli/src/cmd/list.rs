//! `kolea list`: the suite as a table, or as JSON with kola's field names.

mod why;

use std::io::{self, Write};

use anyhow::Context;
use comfy_table::{Table, presets};
use kolea_model::{ExitCode, Restriction, TestCase};
use serde::Serialize;

use kolea_suite::{Pattern, SelectError};

use super::{Failure, Outcome};
use crate::args::{Invocation, ListArgs};
use crate::layers::Origin;
use crate::program::warn;
use crate::settings;
use crate::tests::LoadedSuite;
use crate::workdir::Workdir;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &ListArgs) -> Outcome {
    if args.why {
        return why::main(invocation, args);
    }
    let global = &invocation.cli.global;
    warn_of_selection(invocation);
    let workdir = Workdir::find(settings::path(&global.target.workdir));
    let suite = LoadedSuite::load(&args.suite.exttest, workdir.as_ref())?;
    suite.print_problems();
    let of = |restriction: &Restriction, name: &Option<String>| {
        let name = settings::text(name).filter(|name| name != "all");
        name.is_none_or(|name| restriction.allows(&name))
    };
    let mut tests = matching(&suite.tests, &args.patterns)?;
    tests.retain(|test| {
        of(&test.platforms, &global.target.platform) && of(&test.distros, &global.target.distro)
    });
    let text = if args.json {
        json(&tests).context("cannot write the list as JSON")?
    } else {
        table(&tests)
    };
    // A closed pipe (`kolea list | head`) is no error.
    let _ = writeln!(io::stdout().lock(), "{text}");
    Ok(if suite.has_errors() {
        ExitCode::Usage
    } else {
        ExitCode::Pass
    })
}

/// Flags that select have no effect here, as in kola.
fn warn_of_selection(invocation: &Invocation) {
    const FLAGS: [&str; 9] = [
        "tag",
        "no-net",
        "denylist-test",
        "denylist",
        "denylist-stream",
        "run-denied",
        "run-platform-independent",
        "sharding",
        "multiply",
    ];
    let given: Vec<String> = FLAGS
        .iter()
        .filter(|flag| *invocation.origin(flag) == Origin::Flag)
        .map(|flag| format!("--{flag}"))
        .collect();
    if !given.is_empty() {
        warn(format_args!(
            "{} has no effect on `list` without --why",
            given.join(", ")
        ));
    }
}

/// Those whose name or tag matches any pattern; all if there are none. No rule leaves anything out, as in kola.
fn matching(tests: &[TestCase], texts: &[String]) -> Result<Vec<TestCase>, Failure> {
    let patterns: Vec<Pattern> = texts
        .iter()
        .map(|text| {
            Pattern::new(text).map_err(|error| {
                Failure::selection(SelectError::BadPattern {
                    pattern: text.clone(),
                    error,
                })
            })
        })
        .collect::<Result<_, _>>()?;
    Ok(tests
        .iter()
        .filter(|test| {
            patterns.is_empty()
                || patterns.iter().any(|pattern| {
                    pattern.matches(&test.name) || test.tags.iter().any(|tag| pattern.matches(tag))
                })
        })
        .cloned()
        .collect())
}

fn table(tests: &[TestCase]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_header([
        "Test Name",
        "Platforms",
        "Architectures",
        "Distributions",
        "Tags",
    ]);
    for test in tests {
        table.add_row([
            test.name.clone(),
            restriction(&test.platforms),
            restriction(&test.architectures),
            restriction(&test.distros),
            test.tags.join(" "),
        ]);
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.trim_fmt()
}

fn restriction(restriction: &Restriction) -> String {
    let excluded = restriction.exclude.iter().map(|name| format!("!{name}"));
    let shown: Vec<String> = restriction
        .include
        .iter()
        .cloned()
        .chain(excluded)
        .collect();
    if shown.is_empty() {
        "all".to_owned()
    } else {
        shown.join(" ")
    }
}

/// kola's fields, and some more.
#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    platforms: Vec<String>,
    architectures: Vec<String>,
    distros: Vec<String>,
    tags: &'a [String],
    description: &'a str,
    exclusive: bool,
    fresh_boot: bool,
    timeout_seconds: u64,
}

fn json(tests: &[TestCase]) -> serde_json::Result<String> {
    let names = |names: &Restriction| -> Vec<String> {
        restriction(names).split(' ').map(str::to_owned).collect()
    };
    let rows: Vec<Row<'_>> = tests
        .iter()
        .map(|test| Row {
            name: &test.name,
            platforms: names(&test.platforms),
            architectures: names(&test.architectures),
            distros: names(&test.distros),
            tags: &test.tags,
            description: &test.description,
            exclusive: test.exclusive,
            fresh_boot: test.fresh_boot,
            timeout_seconds: test.time_limit().as_secs(),
        })
        .collect();
    serde_json::to_string_pretty(&rows)
}
