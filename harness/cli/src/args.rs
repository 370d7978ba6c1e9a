//! The command line. Names and defaults are kola's wherever kola has the flag.

mod templates;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

pub use templates::TemplateArgs;

/// Boots an OS image, provisions it with Ignition, runs tests on it in parallel, and reports in JUnit.
#[derive(Debug, Parser)]
#[command(
    name = "kolea",
    version,
    about,
    max_term_width = 100,
    args_override_self = true
)]
pub struct Cli {
    /// Say more of what kolea does itself (repeat for still more).
    #[arg(short, long, global = true, action = clap::ArgAction::Count)]
    pub verbose: u8,
    /// The subcommand.
    #[command(subcommand)]
    pub command: Command,
}

/// Subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run tests on an image
    Run(Box<RunArgs>),
    /// List tests
    List(ListArgs),
    /// Check test trees for everything that is wrong or doubtful
    Lint(crate::cmd::lint::LintArgs),
    /// Make the reports of a run again from what it recorded
    Report(ReportArgs),
}

/// Where tests come from, and which of them are meant.
#[derive(Debug, Clone, Args)]
pub struct SuiteArgs {
    /// A directory with external tests in DIR/tests/kola [default: .]
    #[arg(short = 'E', long = "exttest", value_name = "DIR")]
    pub exttest: Vec<PathBuf>,
    /// The distribution that the image is of: fcos, rhcos, scos, nestos, flatcar
    #[arg(short = 'b', long, default_value = "fcos")]
    pub distro: String,
    /// The architecture of the image, by its RPM name [default: the host's]
    #[arg(long)]
    pub arch: Option<String>,
    /// Only tests with this tag; `!TAG` leaves out those with it
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Leave out tests that need the Internet
    #[arg(long)]
    pub no_net: bool,
}

/// `kolea run`.
#[derive(Debug, Clone, Args)]
pub struct RunArgs {
    /// The image, if not given by --qemu-image, and patterns of test names or tags (`*`, `?`, `[a-z]`) [default: all]
    #[arg(value_name = "IMAGE|PATTERN")]
    pub positional: Vec<String>,
    /// Tests and selection.
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// The platform; only qemu is built in
    #[arg(short = 'p', long, default_value = "qemu")]
    pub platform: String,
    /// The disk image (qcow2 or raw)
    #[arg(long, value_name = "FILE")]
    pub qemu_image: Option<PathBuf>,
    /// The firmware [default: bios on x86_64, uefi on aarch64]
    #[arg(long, value_enum)]
    pub qemu_firmware: Option<FirmwareArg>,
    /// Memory of every machine, in MiB, whatever its test asks for
    #[arg(long, value_name = "MIB")]
    pub qemu_memory: Option<u64>,
    /// KVM or emulation; `auto` tries KVM with a tiny guest first
    #[arg(long, value_enum, default_value_t = AccelArg::Auto)]
    pub accel: AccelArg,
    /// How many machines may run at once: a number, or `auto` for the number of CPUs
    #[arg(
        short = 'j',
        long = "parallel",
        default_value = "auto",
        value_name = "N"
    )]
    pub jobs: Jobs,
    /// Run failed tests once more; one that passes then is flaky, which is no failure
    #[arg(long)]
    pub rerun: bool,
    /// How often a test is tried again on a fresh machine after a failure of the infrastructure
    #[arg(long, default_value_t = 1, value_name = "N")]
    pub infra_retries: u32,
    /// What every time limit is multiplied with [default: 1 under KVM, measured under emulation]
    #[arg(long, value_name = "FACTOR", value_parser = parse_factor)]
    pub timeout_factor: Option<f64>,
    /// Lengthen every time limit by this percentage
    #[arg(long, default_value_t = 0, value_name = "PERCENT")]
    pub extend_timeout_percentage: u32,
    /// Show findings of the console rules as warnings, not as failures
    #[arg(long)]
    pub skip_console_warnings: bool,
    /// Directory for logs and reports; must be new, empty, or of an earlier run [default: _kola_temp/…]
    #[arg(long, value_name = "DIR")]
    pub output_dir: Option<PathBuf>,
    /// Copy the TAP report here as well
    #[arg(long, value_name = "FILE")]
    pub tapfile: Option<PathBuf>,
    /// Exit with 77 if only tests that may fail have failed
    #[arg(long)]
    pub on_warn_failure_exit_77: bool,
    /// Machines, and what they start from.
    #[command(flatten)]
    pub templates: TemplateArgs,
    /// Write a trace of every machine here, for https://ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
    /// What tests took in earlier runs; read if it exists, and written at the end [default: in the cache directory]
    #[arg(long, value_name = "FILE")]
    pub durations: Option<PathBuf>,
    /// Show what would run, on how many machines and in which order, and stop
    #[arg(long)]
    pub dry_run: bool,
}

/// `kolea list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Patterns of test names or tags [default: all]
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// A directory with external tests in DIR/tests/kola [default: .]
    #[arg(short = 'E', long = "exttest", value_name = "DIR")]
    pub exttest: Vec<PathBuf>,
    /// As JSON
    #[arg(long)]
    pub json: bool,
}

/// `kolea report`.
#[derive(Debug, Clone, Args)]
pub struct ReportArgs {
    /// The output directory of the run
    pub dir: PathBuf,
    /// Write a trace of every machine here, for https://ui.perfetto.dev or chrome://tracing
    #[arg(long, value_name = "FILE")]
    pub profile: Option<PathBuf>,
}

/// `--qemu-firmware`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum FirmwareArg {
    /// SeaBIOS.
    Bios,
    /// OVMF or AAVMF.
    Uefi,
}

/// `--accel`.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum AccelArg {
    /// KVM if it works.
    Auto,
    /// KVM or an error.
    Kvm,
    /// Emulation.
    Tcg,
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
    fn the_command_line_is_consistent() {
        use clap::CommandFactory;
        Cli::command().debug_assert();
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
