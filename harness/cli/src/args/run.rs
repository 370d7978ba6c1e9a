//! Flags of `kolea run` and `kolea rerun`.

use std::path::PathBuf;

use clap::Args;

use super::{SuiteArgs, TemplateArgs};

/// `kolea run` and `kolea rerun`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The image, if not given by --qemu-image, and patterns of test names or tags (`*`, `?`, `[a-z]`) [default: all]
    #[arg(value_name = "IMAGE|PATTERN")]
    pub positional: Vec<String>,
    /// The flags.
    #[command(flatten)]
    pub flags: RunFlags,
}

/// All but the words that are no flags.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Run")]
pub struct RunFlags {
    /// Tests.
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// Run failed tests once more; one that passes then is flaky, which is no failure
    #[arg(long, help_heading = "Run")]
    pub rerun: bool,
    /// Accepted for scripts; `--rerun` says it all
    #[arg(long, value_name = "TAGS", hide = true)]
    pub allow_rerun_success: Vec<String>,
    /// How often a test is tried again on a fresh machine after a failure of the infrastructure
    #[arg(long, default_value_t = 1, value_name = "N", help_heading = "Run")]
    pub infra_retries: u32,
    /// What every time limit is multiplied with [default: 1 under KVM, measured under emulation]
    #[arg(long, value_name = "FACTOR", value_parser = parse_factor, help_heading = "Run")]
    pub timeout_factor: Option<f64>,
    /// Show findings of the console rules as warnings, not as failures
    #[arg(long, help_heading = "Run")]
    pub skip_console_warnings: bool,
    /// Machines, and what they start from.
    #[command(flatten)]
    pub templates: TemplateArgs,
    /// Write a trace of every machine here, for https://ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub profile: Option<PathBuf>,
    /// What tests took in earlier runs; read if it exists, and written at the end [default: in the cache directory]
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    pub durations: Option<PathBuf>,
    /// Show what would run, on how many machines and in which order, and stop
    #[arg(long, help_heading = "Run")]
    pub dry_run: bool,
}

/// `-j`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Jobs {
    /// As many as there are CPUs.
    Auto,
    /// This many.
    Count(usize),
}

impl std::str::FromStr for Jobs {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match (text, text.parse::<usize>()) {
            ("auto", _) => Ok(Jobs::Auto),
            (_, Ok(count)) if count > 0 => Ok(Jobs::Count(count)),
            _ => Err("must be `auto` or a number of at least 1".to_owned()),
        }
    }
}

fn parse_factor(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(factor) if (0.01..=1000.0).contains(&factor) => Ok(factor),
        _ => Err("must be a number from 0.01 to 1000".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_factor_is_positive_and_finite() {
        assert_eq!(parse_factor("2.5"), Ok(2.5));
        for wrong in ["0", "-1", "inf", "NaN", "1e9", "x"] {
            assert!(parse_factor(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn jobs_are_a_count_or_auto() {
        assert_eq!("auto".parse(), Ok(Jobs::Auto));
        assert_eq!("3".parse(), Ok(Jobs::Count(3)));
        assert!("0".parse::<Jobs>().is_err());
        assert!("-1".parse::<Jobs>().is_err());
        assert!("many".parse::<Jobs>().is_err());
    }
}
