//! The `kolea` command.

mod args;
mod cmd;
mod durations;
mod output_dir;
mod paths;
mod properties;
#[expect(dead_code, reason = "no flag asks for it yet")]
mod shell;
mod signals;
mod sink;
mod tests;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use tracing_subscriber::EnvFilter;

use args::{Cli, Command};
use cmd::Failure;

fn main() -> ExitCode {
    let cli = Cli::parse();
    let default_level = match cli.verbose {
        0 => "warn",
        1 => "info",
        2 => "debug",
        _ => "trace",
    };
    tracing_subscriber::fmt()
        .with_env_filter(
            EnvFilter::try_from_env("KOLEA_LOG").unwrap_or_else(|_| EnvFilter::new(default_level)),
        )
        .with_writer(std::io::stderr)
        .with_ansi(std::io::stderr().is_terminal())
        .init();
    let outcome = match &cli.command {
        Command::Run(args) => cmd::run::main(args),
        Command::List(args) => cmd::list::main(args),
        Command::Report(args) => cmd::report::main(args),
    };
    match outcome {
        Ok(code) => code.into(),
        Err(Failure { code, error }) => {
            eprintln!("kolea: {error:#}");
            code.into()
        }
    }
}
