//! `kolea testiso`: `run`, with the tests of live ISOs alone.

use super::Outcome;
use crate::args::{Invocation, TestisoArgs};
use crate::settings::Settings;
use crate::tests::LoadedSuite;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &TestisoArgs) -> Outcome {
    let run = &args.run;
    let settings = Settings::resolve(invocation, &run.positional, &run.flags.suite)?;
    let suite = LoadedSuite::tagged(kolea_suites::ISO_TAG);
    super::run::start(invocation, &settings, &suite, &run.flags)
}
