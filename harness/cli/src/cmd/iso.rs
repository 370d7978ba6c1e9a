//! `kolea iso`: what a live ISO is, and the Ignition config, the network keyfiles and the kernel arguments in it, with
//! coreos-installer's flags.

mod extract;
mod ignition;
mod inspect;
mod kargs;
mod network;

use std::io::{self, IsTerminal};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use clap::{Args, Subcommand};
use kolea_iso::{EmbedRequest, Embedded, IsoError};
use kolea_machine::profile::Profile;

use super::{Failure, Outcome};
use crate::args::{GlobalArgs, Invocation};
use crate::settings::Distro;

/// `kolea iso`.
#[derive(Debug, Clone, Args)]
pub struct IsoArgs {
    /// What is done.
    #[command(subcommand)]
    pub command: IsoCommand,
}

/// What `kolea iso` does.
#[derive(Debug, Clone, Subcommand)]
pub enum IsoCommand {
    /// The Ignition config that a live system is provisioned with
    #[command(subcommand)]
    Ignition(ignition::IgnitionCommand),
    /// The NetworkManager keyfiles of a live system
    #[command(subcommand)]
    Network(network::NetworkCommand),
    /// The kernel arguments of a live system
    #[command(subcommand)]
    Kargs(kargs::KargsCommand),
    /// What can be made of a live ISO
    #[command(subcommand)]
    Extract(extract::ExtractCommand),
    /// Tell what an ISO is: its volume, what boots it, its system, its embed areas
    Inspect(inspect::InspectArgs),
}

/// Where a changed image goes.
#[derive(Debug, Clone, Args)]
pub struct TargetArgs {
    /// Write a changed copy here, `-` for standard output [default: change ISO itself]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// The image
    #[arg(value_name = "ISO")]
    iso: PathBuf,
}

/// Runs the subcommand.
pub fn main(invocation: &Invocation, args: &IsoArgs) -> Outcome {
    let global = &invocation.cli.global;
    match &args.command {
        IsoCommand::Ignition(command) => ignition::main(global, command),
        IsoCommand::Network(command) => network::main(global, command),
        IsoCommand::Kargs(command) => kargs::main(global, command),
        IsoCommand::Extract(command) => extract::main(global, command),
        IsoCommand::Inspect(args) => inspect::main(global, args),
    }
}

/// The directories that may describe embed areas: that of `--distro` first, then those of all distributions that are known.
fn directories(global: &GlobalArgs) -> Result<Vec<String>, Failure> {
    let distro = Distro::resolve(global, None).map_err(Failure::usage)?;
    let mut directories: Vec<String> = distro.profile.iso_directory.into_iter().collect();
    for known in Profile::iso_directories() {
        if !directories.contains(&known) {
            directories.push(known);
        }
    }
    Ok(directories)
}

/// Changes an image, or makes a changed copy.
fn change(target: &TargetArgs, request: &EmbedRequest) -> Result<Embedded, Failure> {
    let changed = match &target.output {
        None => kolea_iso::embed_in_place(&target.iso, request),
        Some(output) if output.as_os_str() == "-" => {
            let mut stdout = io::stdout().lock();
            if stdout.is_terminal() {
                return Err(Failure::usage(anyhow!(
                    "an image is nothing for a terminal; redirect standard output, or name a file: -o FILE"
                )));
            }
            kolea_iso::embed_to_writer(&target.iso, &mut stdout, request)
        }
        Some(output) => kolea_iso::embed(&target.iso, output, request),
    };
    changed.map_err(|error| failure(&target.iso, error))
}

/// What is wrong with the image, or with what was asked for, is found before anything is written.
fn failure(iso: &Path, error: IsoError) -> Failure {
    let is_io = error.is_io();
    let names_file = matches!(
        error,
        IsoError::Open { .. } | IsoError::Write { .. } | IsoError::ReadBack { .. }
    );
    let error = anyhow::Error::new(error);
    let error = match names_file {
        true => error,
        false => error.context(iso.display().to_string()),
    };
    if is_io {
        Failure::from(error)
    } else {
        Failure::usage(error)
    }
}
