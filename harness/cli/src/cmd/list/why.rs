//! `kolea list --why`: for every test, whether `run` with the same flags would run it, and why not.

use std::io::{self, Write};

use anyhow::Context;
use kolea_model::{ExitCode, TestCase};
use kolea_suite::Decision;
use serde::Serialize;

use crate::args::{Invocation, ListArgs};
use crate::cmd::run::unsupported;
use crate::cmd::{Failure, Outcome};
use crate::settings::Settings;
use crate::tests::LoadedSuite;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &ListArgs) -> Outcome {
    let settings = Settings::resolve(invocation, &args.patterns, &args.suite)?;
    let suite = LoadedSuite::load(&settings.exttest, settings.workdir.as_ref())?;
    settings.warn(invocation, &suite.tests);
    suite.print_problems();
    let decisions: Vec<(TestCase, Decision)> =
        kolea_suite::explain(suite.tests.clone(), &settings.selection)
            .map_err(Failure::selection)?
            .into_iter()
            .map(|(test, decision)| {
                let unsupported = unsupported(&test).filter(|_| decision == Decision::Run);
                let decision = unsupported.map_or(decision, Decision::Skip);
                (test, decision)
            })
            .collect();
    let text = if args.json {
        json(&decisions).context("cannot write the list as JSON")?
    } else {
        lines(&decisions)
    };
    // A closed pipe is no error.
    let _ = writeln!(io::stdout().lock(), "{text}");
    Ok(if suite.has_errors() {
        ExitCode::Usage
    } else {
        ExitCode::Pass
    })
}

/// What becomes of a test, and why, unless it runs.
fn words(decision: &Decision) -> (&'static str, Option<String>) {
    match decision {
        Decision::Run => ("run", None),
        Decision::NotAskedFor(why) => ("not asked for", Some(why.clone())),
        Decision::Skip(reason) => ("skip", Some(reason.to_string())),
    }
}

fn lines(decisions: &[(TestCase, Decision)]) -> String {
    let width = decisions.iter().map(|(test, _)| test.name.len()).max();
    let width = width.unwrap_or(0);
    let lines: Vec<String> = decisions
        .iter()
        .map(|(test, decision)| match words(decision) {
            (word, Some(why)) => format!("{:width$}  {word}: {why}", test.name),
            (word, None) => format!("{:width$}  {word}", test.name),
        })
        .collect();
    lines.join("\n")
}

#[derive(Serialize)]
#[serde(rename_all = "PascalCase")]
struct Row<'a> {
    name: &'a str,
    decision: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

fn json(decisions: &[(TestCase, Decision)]) -> serde_json::Result<String> {
    let rows: Vec<Row<'_>> = decisions
        .iter()
        .map(|(test, decision)| {
            let (decision, why) = words(decision);
            Row {
                name: &test.name,
                decision,
                why,
            }
        })
        .collect();
    serde_json::to_string_pretty(&rows)
}
