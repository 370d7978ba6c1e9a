//! `kolea list`: the suite as kola shows it, or what would become of every test in a run.

mod show;

use std::collections::HashMap;
use std::io::{self, Write};

use kolea_model::{ExitCode, Restriction, TestCase};
use kolea_suite::Decision;

use super::run::{container, unsupported};
use super::{Failure, Outcome};
use crate::args::{Invocation, ListArgs};
use crate::layers::Origin;
use crate::program::warn;
use crate::settings::{self, Settings};
use crate::tests::LoadedSuite;
use crate::workdir::Workdir;
use show::{show, show_why};

/// Flags that decide what runs, and not what there is.
const SELECTING: [&str; 9] = [
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

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &ListArgs) -> Outcome {
    let (text, code) = if args.why {
        decisions(invocation, args)?
    } else {
        suite(invocation, args)?
    };
    // A closed pipe (`kolea list | head`) is no error.
    let _ = write!(io::stdout().lock(), "{text}");
    Ok(code)
}

/// Every test, as in kola: only patterns, platform and distribution leave any out.
fn suite(invocation: &Invocation, args: &ListArgs) -> Result<(String, ExitCode), Failure> {
    let given: Vec<String> = SELECTING
        .iter()
        .filter(|flag| *invocation.origin(flag) == Origin::Flag)
        .map(|flag| format!("--{flag}"))
        .collect();
    if !given.is_empty() {
        warn(format_args!(
            "without effect on `list` unless with --why: {}",
            given.join(", ")
        ));
    }
    let global = &invocation.cli.global;
    let workdir = Workdir::find(settings::path(&global.target.workdir));
    let suite = LoadedSuite::load(
        &args.suite.exttest,
        workdir.as_ref(),
        settings::path(&global.machines.butane_program),
    )?;
    suite.print_problems();
    let code = code(&suite);
    let allows = |restriction: &Restriction, name: &Option<String>| {
        let name = settings::text(name).filter(|name| name != "all");
        name.is_none_or(|name| restriction.allows(&name))
    };
    let mut tests =
        kolea_suite::matching(suite.tests, &args.patterns).map_err(Failure::selection)?;
    tests.retain(|test| {
        allows(&test.platforms, &global.target.platform)
            && allows(&test.distros, &global.target.distro)
    });
    Ok((show(&tests, args.json)?, code))
}

/// What would become of every test in a run with the same flags.
fn decisions(invocation: &Invocation, args: &ListArgs) -> Result<(String, ExitCode), Failure> {
    let settings = Settings::resolve(invocation, &args.patterns, &args.suite)?;
    let suite = LoadedSuite::of(&settings)?;
    settings.warn(invocation, &suite.tests);
    suite.print_problems();
    let code = code(&suite);
    let refusals: HashMap<String, String> = suite
        .tests
        .iter()
        .filter_map(|test| Some((test.name.clone(), suite.refusal(test)?)))
        .collect();
    let decide = |(test, decision): (TestCase, Decision)| {
        if decision != Decision::Run {
            return (test, decision);
        }
        let decision = if let Some(reason) = unsupported(&test, &settings) {
            Decision::Skip(reason)
        } else if let Some(why) = refusals.get(test.copy_of.as_ref().unwrap_or(&test.name)) {
            Decision::Refuse(why.clone())
        } else if let Err(why) = container(std::slice::from_ref(&test), settings.build.as_ref()) {
            Decision::Refuse(format!("{:#}", why.error))
        } else {
            decision
        };
        (test, decision)
    };
    let explained: Vec<(TestCase, Decision)> =
        kolea_suite::explain(suite.tests, &settings.selection)
            .map_err(Failure::selection)?
            .into_iter()
            .map(decide)
            .collect();
    Ok((show_why(&explained, args.json)?, code))
}

fn code(suite: &LoadedSuite) -> ExitCode {
    if suite.has_errors() {
        ExitCode::Usage
    } else {
        ExitCode::Pass
    }
}
