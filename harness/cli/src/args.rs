//! The command line: its flags by topic, and the `Command` that is made of them. Names and defaults are kola's wherever kola
//! has the flag. What the flags come to in the end is decided in [`crate::settings`].

mod exit_codes;
mod foreign;
mod global;
mod parse;
mod pflag;
mod provision;
mod qemu;
mod qemuexec;
mod run;
mod select;
mod templates;

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

pub use exit_codes::EXIT_CODES;
pub use foreign::Foreign;
pub use global::{GlobalArgs, MachineArgs};
pub use parse::{Invocation, Setting, command, is_setting, parse};
pub use provision::ProvisionArgs;
pub use qemu::{AccelArg, FirmwareArg, QemuArgs};
pub use qemuexec::{Fragment, QemuexecArgs};
pub use run::{Jobs, RunArgs, RunFlags};
pub use select::{SelectArgs, SuiteArgs};
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
    /// Flags that every subcommand takes, before its name or after it.
    #[command(flatten)]
    pub global: GlobalArgs,
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
    /// Run the tests again that failed in the last run
    Rerun(Box<RunArgs>),
    /// Run upgrade tests from an earlier build (not yet)
    RunUpgrade(Box<UpgradeArgs>),
    /// Tell what a live ISO is, and embed Ignition configs and kernel arguments in it
    Iso(crate::cmd::iso::IsoArgs),
    /// Make the reports of a run again from what it recorded
    Report(ReportArgs),
    /// Show every setting, and where its value comes from
    Config(ConfigArgs),
    /// Look for faults in console logs
    CheckConsole(CheckConsoleArgs),
    /// Serve the current directory over HTTP
    HttpServer(HttpServerArgs),
    /// Print how many machines `-j auto` runs at once
    Ncpu,
    /// Print the version
    Version,
    /// Print what the exit codes mean
    #[command(after_help = EXIT_CODES)]
    ExitCodes,
    /// Boot machines and keep them (not yet)
    Spawn(NotYetArgs),
    /// Boot an image in QEMU, with its console or a shell on this terminal
    Qemuexec(Box<QemuexecArgs>),
    /// Run the tests of live ISOs
    Testiso(Box<RunArgs>),
    /// Draw how a machine boots (not yet)
    Bootchart(NotYetArgs),
}

/// `kolea list`.
#[derive(Debug, Clone, Args)]
pub struct ListArgs {
    /// Patterns of test names or tags [default: all]
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// Tests.
    #[command(flatten)]
    pub suite: SuiteArgs,
    /// As JSON
    #[arg(long, help_heading = "List")]
    pub json: bool,
    /// For every test, whether `run` with the same flags would run it, and why not
    #[arg(long, help_heading = "List")]
    pub why: bool,
}

/// `kolea run-upgrade`.
#[derive(Debug, Clone, Args)]
pub struct UpgradeArgs {
    /// Patterns of test names
    #[arg(value_name = "PATTERN")]
    pub patterns: Vec<String>,
    /// Find the build before this one, and start from it
    #[arg(long)]
    pub find_parent_image: bool,
    /// Where images of earlier builds are kept
    #[arg(long, value_name = "DIR")]
    pub qemu_image_dir: Option<PathBuf>,
    /// Run failed tests once more
    #[arg(long)]
    pub rerun: bool,
    /// Accepted for scripts; `--rerun` says it all
    #[arg(long, value_name = "TAGS", hide = true)]
    pub allow_rerun_success: Vec<String>,
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

/// `kolea config`.
#[derive(Debug, Clone, Args)]
pub struct ConfigArgs {
    /// As JSON
    #[arg(long)]
    pub json: bool,
    /// The flags of `run`, to see what they would come to.
    #[command(flatten)]
    pub run: RunFlags,
}

/// `kolea check-console`.
#[derive(Debug, Clone, Args)]
pub struct CheckConsoleArgs {
    /// Console logs; `-` and none: standard input
    #[arg(value_name = "FILE")]
    pub files: Vec<PathBuf>,
}

/// `kolea http-server`.
#[derive(Debug, Clone, Args)]
pub struct HttpServerArgs {
    /// The port; 0 for any that is free
    #[arg(short = 'P', long, default_value_t = 8000)]
    pub port: u16,
}

/// A subcommand that is not there yet: whatever is said to it gets the same answer.
#[derive(Debug, Clone, Args)]
pub struct NotYetArgs {
    /// Ignored.
    #[arg(hide = true, trailing_var_arg = true, allow_hyphen_values = true)]
    pub rest: Vec<String>,
}

#[cfg(test)]
mod tests;
