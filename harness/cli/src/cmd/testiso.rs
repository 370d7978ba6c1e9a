//! `kolea testiso`: `run`, with the tests of live ISOs alone.

use super::Outcome;
use crate::args::{Invocation, RunArgs};
use crate::settings::Settings;
use crate::tests::LoadedSuite;

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &RunArgs) -> Outcome {
    let settings = Settings::resolve(invocation, &args.positional, &args.flags.suite)?;
    let suite = LoadedSuite::tagged(kolea_suites::ISO_TAG);
    super::run::start(invocation, &settings, &suite, &args.flags)
}
