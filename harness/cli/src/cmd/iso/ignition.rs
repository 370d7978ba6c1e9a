//! `kolea iso ignition`.

use std::io::{self, Read, Write};
use std::path::PathBuf;

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use kolea_iso::{EmbedRequest, IgnitionArea, IgnitionChange, Iso};
use kolea_model::ExitCode;

use super::{TargetArgs, change, directories, failure};
use crate::args::GlobalArgs;
use crate::cmd::{Failure, Outcome};
use crate::settings::append;

/// What `kolea iso ignition` does.
#[derive(Debug, Clone, Subcommand)]
pub enum IgnitionCommand {
    /// Embed an Ignition config
    Embed(EmbedArgs),
    /// Print the Ignition config that is embedded
    Show(ShowArgs),
    /// Remove the Ignition config that is embedded
    Remove(TargetArgs),
}

/// `kolea iso ignition embed`.
#[derive(Debug, Clone, Args)]
pub struct EmbedArgs {
    /// The Ignition config [default: standard input]
    #[arg(short, long, value_name = "FILE")]
    ignition_file: Option<PathBuf>,
    /// Embed what this Butane config becomes
    #[arg(
        short = 'B',
        long,
        value_name = "FILE",
        conflicts_with = "ignition_file"
    )]
    butane: Option<PathBuf>,
    /// Replace a config that is embedded already
    #[arg(short, long)]
    force: bool,
    /// Embed the config as it is, even if Ignition would refuse it
    #[arg(long)]
    no_validate: bool,
    /// Where it goes.
    #[command(flatten)]
    target: TargetArgs,
}

/// `kolea iso ignition show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// The image
    #[arg(value_name = "ISO")]
    iso: PathBuf,
}

/// Runs the subcommand.
pub fn main(global: &GlobalArgs, command: &IgnitionCommand) -> Outcome {
    let directories = directories(global)?;
    let (target, ignition) = match command {
        IgnitionCommand::Show(args) => return show(args, &directories),
        IgnitionCommand::Remove(target) => (target, IgnitionChange::Remove),
        IgnitionCommand::Embed(args) => {
            let change = IgnitionChange::Embed {
                config: config(global, args)?,
                replace: args.force,
            };
            (&args.target, change)
        }
    };
    let request = EmbedRequest {
        directories,
        ignition: Some(ignition),
        ..EmbedRequest::default()
    };
    change(target, &request)?;
    Ok(ExitCode::Pass)
}

/// The config to be embedded, in the very bytes it was given.
fn config(global: &GlobalArgs, args: &EmbedArgs) -> Result<Vec<u8>, Failure> {
    if let Some(file) = &args.butane {
        let text = append::butane(&global.machines, file).map_err(Failure::usage)?;
        return Ok(text.into_bytes());
    }
    let (name, config) = match &args.ignition_file {
        Some(file) => {
            let name = file.display().to_string();
            let config = std::fs::read(file)
                .with_context(|| format!("cannot read config {name}"))
                .map_err(Failure::usage)?;
            (name, config)
        }
        None => {
            let mut config = Vec::new();
            let mut stdin = io::stdin().lock();
            stdin
                .read_to_end(&mut config)
                .context("cannot read the config from standard input")?;
            ("standard input".to_owned(), config)
        }
    };
    if !args.no_validate {
        let text = std::str::from_utf8(&config)
            .map_err(|_| Failure::usage(anyhow!("{name}: Ignition config is not UTF-8")))?;
        kolea_butane::validate(text).map_err(|problem| {
            Failure::usage(anyhow!(
                "{name}: {problem}; --no-validate embeds it nevertheless"
            ))
        })?;
    }
    Ok(config)
}

fn show(args: &ShowArgs, directories: &[String]) -> Outcome {
    let read = || {
        let iso = Iso::open(&args.iso)?;
        IgnitionArea::find(&iso, directories)?.read(&iso)
    };
    let (archive, _) = read().map_err(|error| failure(&args.iso, error))?;
    let config = IgnitionArea::config(&archive)
        .ok_or_else(|| anyhow!("{}: no Ignition config is embedded", args.iso.display()))?;
    // A closed pipe is no error.
    let _ = io::stdout().lock().write_all(config);
    Ok(ExitCode::Pass)
}
