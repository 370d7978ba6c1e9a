//! `kolea rerun`: the tests that failed in the last run, once more.

mod last;

use anyhow::anyhow;
use kolea_model::ExitCode;

use super::{Failure, Outcome};
use crate::args::{Invocation, RunArgs};
use crate::program::{Program, warn};
use crate::settings::Settings;
use crate::tests::LoadedSuite;

/// Runs the subcommand: `run` with the names of what failed. They are read before the output directory is emptied, which may
/// be the one that they are in.
pub fn main(invocation: &Invocation, args: &RunArgs) -> Outcome {
    let places = Settings::resolve(invocation, &args.positional, &args.flags.suite)?;
    let run = last::find(&places.output)?;
    let name = Program::current().name();
    if run.failed.is_empty() {
        println!("{name}: nothing failed in {}", run.dir.display());
        return Ok(ExitCode::Pass);
    }
    let suite = LoadedSuite::of(&places)?;
    let mut words = args.positional.clone();
    for test in &run.failed {
        let known = |name: &str| suite.tests.iter().any(|test| test.name == name);
        // A copy by --multiply is called after its test.
        let original = test.trim_end_matches(|char: char| char.is_ascii_digit());
        let copies = places.selection.multiply > 1;
        if known(test) || (copies && known(original)) {
            words.push(escape(test));
        } else if known(original) {
            words.push(escape(original));
        } else {
            warn(format_args!(
                "{test} failed in {}, and is not among the tests any more",
                run.dir.display()
            ));
        }
    }
    if words.len() == args.positional.len() {
        return Err(Failure::no_tests(anyhow!(
            "no test that failed in {} is there any more",
            run.dir.display()
        )));
    }
    words.dedup();
    println!(
        "{name}: running {} of {} failed tests of {} again",
        words.len() - args.positional.len(),
        run.failed.len(),
        run.dir.display()
    );
    super::run::main(invocation, &words, &args.flags)
}

/// A pattern that matches the name and nothing else.
fn escape(name: &str) -> String {
    let mut pattern = String::with_capacity(name.len());
    for char in name.chars() {
        if "*?[\\".contains(char) {
            pattern.push('\\');
        }
        pattern.push(char);
    }
    pattern
}
