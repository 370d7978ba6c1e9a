//! `kolea report`: reports from what a run recorded, whether it came to its end or not.

use kolea_model::ExitCode;

use super::{Failure, Outcome};
use crate::args::ReportArgs;
use crate::program::{say, warn};
use crate::sink::EVENTS_FILE;

/// Runs the subcommand.
pub fn main(args: &ReportArgs) -> Outcome {
    let (record, problems) = kolea_report::read_record(&args.dir.join(EVENTS_FILE))
        .map_err(|error| Failure::usage(anyhow::anyhow!("{error}")))?;
    for problem in &problems {
        warn(problem);
    }
    let written =
        kolea_report::write_all(&args.dir, &record).map_err(|error| anyhow::anyhow!("{error}"))?;
    if let Some(profile) = &args.profile {
        kolea_report::write_trace(&args.dir.join(EVENTS_FILE), profile)
            .map_err(|error| anyhow::anyhow!("{error}"))?;
    }
    for (test, verdict) in record.verdicts().filter(|(_, verdict)| verdict.is_bad()) {
        say(format_args!("{test}: {verdict}"));
    }
    say(format_args!("junit:  {}", written.junit.display()));
    say(format_args!("tap:    {}", written.tap.display()));
    say(format_args!("report: {}", written.json.display()));
    Ok(ExitCode::Pass)
}
