//! `kolea list`: the suite as kola shows it, or what would become of every test in a run.

mod show;

use std::io::{self, Write};

use kolea_model::ExitCode;
use kolea_suite::Selection;

use super::{Failure, Outcome};
use crate::args::ListArgs;
use crate::tests::LoadedSuite;
use show::{show, show_why};

/// Runs the subcommand.
pub fn main(args: &ListArgs) -> Outcome {
    let suite = LoadedSuite::load(&args.exttest)?;
    suite.print_problems();
    let code = if suite.has_errors() {
        ExitCode::Usage
    } else {
        ExitCode::Pass
    };
    let text = if args.why {
        let selection = Selection {
            patterns: args.patterns.clone(),
            platform: "qemu".to_owned(),
            arch: std::env::consts::ARCH.to_owned(),
            now: chrono::Utc::now(),
            ..Selection::default()
        };
        let explained =
            kolea_suite::explain(suite.tests, &selection).map_err(Failure::selection)?;
        show_why(&explained, args.json)?
    } else {
        let tests = kolea_suite::matching(suite.tests, &args.patterns);
        show(&tests.map_err(Failure::selection)?, args.json)?
    };
    // A closed pipe (`kolea list | head`) is no error.
    let _ = write!(io::stdout().lock(), "{text}");
    Ok(code)
}
