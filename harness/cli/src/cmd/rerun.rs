//! `kolea rerun`: the tests that failed in the last run, once more.

mod last;

use std::collections::BTreeSet;

use anyhow::anyhow;
use kolea_model::ExitCode;
use kolea_suite::Pattern;

use super::{Failure, Outcome};
use crate::args::{Invocation, RunArgs};
use crate::program::{Program, say, warn};
use crate::settings::Settings;
use crate::tests::LoadedSuite;

/// Runs the subcommand: `run` with the names of what failed, or of those among it that match a pattern. They are read before the
/// output directory is emptied, which may be the one that they are in.
pub fn main(invocation: &Invocation, args: &RunArgs) -> Outcome {
    let flags = &args.flags;
    let mut settings = Settings::resolve(invocation, &args.positional, &flags.suite)?;
    let last = last::find(&settings.output)?;
    let dir = last.dir.display();
    let name = Program::current().name();
    if last.failed.is_empty() {
        say(format_args!("{name}: nothing failed in {dir}"));
        return Ok(ExitCode::Pass);
    }
    let wanted = wanted(&settings.selection.patterns)?;
    let suite = LoadedSuite::of(&settings)?;
    let known = |name: &str| suite.tests.iter().any(|test| test.name == name);
    let copies = settings.selection.multiply > 1;
    let mut again = BTreeSet::new();
    for test in last.failed.iter().filter(|test| wanted(test)) {
        // A copy by --multiply is called after its test.
        let original = test.trim_end_matches(|char: char| char.is_ascii_digit());
        if known(test) || (copies && known(original)) {
            again.insert(escape(test));
        } else if known(original) {
            again.insert(escape(original));
        } else {
            warn(format_args!(
                "{test} failed in {dir}, and is not among the tests any more"
            ));
        }
    }
    if again.is_empty() {
        return Err(Failure::no_tests(anyhow!(
            "no test that failed in {dir} is there any more, or matches a pattern"
        )));
    }
    say(format_args!(
        "{name}: running {} of {} failed tests of {dir} again",
        again.len(),
        last.failed.len()
    ));
    settings.selection.patterns = again.into_iter().collect();
    super::run::start(invocation, &settings, &suite, flags)
}

/// Whether a name matches any of the patterns; whatever it is, if there are none.
fn wanted(patterns: &[String]) -> Result<impl Fn(&str) -> bool + use<>, Failure> {
    let patterns: Vec<Pattern> = patterns
        .iter()
        .map(|text| Pattern::new(text).map_err(|error| (text, error)))
        .collect::<Result<_, _>>()
        .map_err(|(text, error)| {
            Failure::usage(anyhow!("the pattern `{text}` is malformed: {error}"))
        })?;
    Ok(move |name: &str| {
        patterns.is_empty() || patterns.iter().any(|pattern| pattern.matches(name))
    })
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
