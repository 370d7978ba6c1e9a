//! `kolea iso extract`.

use std::path::PathBuf;

use anyhow::anyhow;
use clap::{Args, Subcommand};
use kolea_iso::Minimal;
use kolea_model::ExitCode;

use super::{directories, failure};
use crate::args::GlobalArgs;
use crate::cmd::{Failure, Outcome};

/// What `kolea iso extract` does.
#[derive(Debug, Clone, Subcommand)]
pub enum ExtractCommand {
    /// Make a minimal ISO, whose initramfs fetches the root file system
    MinimalIso(MinimalIsoArgs),
}

/// `kolea iso extract minimal-iso`.
#[derive(Debug, Clone, Args)]
pub struct MinimalIsoArgs {
    /// Where the root file system, images/pxeboot/rootfs.img, will be fetched from
    #[arg(long, value_name = "URL")]
    rootfs_url: Option<String>,
    /// The live ISO, as it was built
    #[arg(value_name = "ISO")]
    iso: PathBuf,
    /// The minimal ISO; it must not be there yet
    #[arg(value_name = "FILE")]
    output: PathBuf,
}

/// Runs the subcommand.
pub fn main(global: &GlobalArgs, command: &ExtractCommand) -> Outcome {
    let ExtractCommand::MinimalIso(args) = command;
    if let Some(url) = &args.rootfs_url
        && (url.is_empty() || url.contains(char::is_whitespace))
    {
        return Err(Failure::usage(anyhow!(
            "--rootfs-url {url:?} is no URL: it becomes one kernel argument"
        )));
    }
    let minimal = Minimal {
        directories: directories(global)?,
        rootfs_url: args.rootfs_url.clone(),
    };
    kolea_iso::extract_minimal(&args.iso, &args.output, &minimal)
        .map_err(|error| failure(&args.iso, error))?;
    Ok(ExitCode::Pass)
}
