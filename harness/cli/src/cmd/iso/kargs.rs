//! `kolea iso kargs`.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use kolea_iso::{EmbedRequest, Iso, KargsArea, KargsChange, KargsEdit};
use kolea_model::ExitCode;

use super::{TargetArgs, change, directories, failure};
use crate::args::GlobalArgs;
use crate::cmd::Outcome;
use crate::program::{say, warn};

/// What `kolea iso kargs` does.
#[derive(Debug, Clone, Subcommand)]
pub enum KargsCommand {
    /// Add, take out and replace kernel arguments
    Modify(ModifyArgs),
    /// Print the kernel arguments
    Show(ShowArgs),
    /// Go back to the kernel arguments that the image was built with
    Reset(TargetArgs),
}

/// `kolea iso kargs modify`.
#[derive(Debug, Clone, Args)]
pub struct ModifyArgs {
    /// Add an argument
    #[arg(short, long, value_name = "ARG", allow_hyphen_values = true)]
    append: Vec<String>,
    /// Add an argument that is not there yet
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    append_if_missing: Vec<String>,
    /// Take an argument out; there is a warning if it is not there
    #[arg(short, long, value_name = "ARG", allow_hyphen_values = true)]
    delete: Vec<String>,
    /// Take an argument out if it is there
    #[arg(long, value_name = "ARG", allow_hyphen_values = true)]
    delete_if_present: Vec<String>,
    /// Replace the value of an argument; there is a warning if it is not there
    #[arg(short, long, value_name = "KEY=OLD=NEW", allow_hyphen_values = true)]
    replace: Vec<String>,
    /// Where it goes.
    #[command(flatten)]
    target: TargetArgs,
    /// Elsewhere `-d` is `--debug`.
    #[command(flatten)]
    debug: DebugArgs,
}

/// `kolea iso kargs show`.
#[derive(Debug, Clone, Args)]
pub struct ShowArgs {
    /// Those that the image was built with
    #[arg(short, long)]
    default: bool,
    /// The image
    #[arg(value_name = "ISO")]
    iso: PathBuf,
    /// Elsewhere `-d` is `--debug`.
    #[command(flatten)]
    debug: DebugArgs,
}

/// Keeps the flag of all subcommands from these, for its letter is coreos-installer's for another.
#[derive(Debug, Clone, Args)]
pub struct DebugArgs {
    /// Say all of what is done
    #[arg(long = "debug", id = "debug", hide = true)]
    _debug: bool,
}

/// Runs the subcommand.
pub fn main(global: &GlobalArgs, command: &KargsCommand) -> Outcome {
    let directories = directories(global)?;
    let (target, kargs, quiet): (_, _, &[String]) = match command {
        KargsCommand::Show(args) => return show(args, &directories),
        KargsCommand::Reset(target) => (target, KargsChange::Reset, &[]),
        KargsCommand::Modify(args) => {
            let edit = KargsEdit {
                delete: [args.delete.as_slice(), &args.delete_if_present].concat(),
                append: args.append.clone(),
                append_if_missing: args.append_if_missing.clone(),
                replace: args.replace.clone(),
            };
            (
                &args.target,
                KargsChange::Edit(edit),
                &args.delete_if_present,
            )
        }
    };
    let request = EmbedRequest {
        directories,
        kargs: Some(kargs),
        ..EmbedRequest::default()
    };
    let edited = change(target, &request)?.kargs;
    for argument in edited.iter().flat_map(|edited| &edited.missing) {
        if !quiet.iter().any(|quiet| quiet.trim() == argument) {
            warn(format_args!(
                "{}: there is no kernel argument for {argument:?}",
                target.iso.display()
            ));
        }
    }
    Ok(ExitCode::Pass)
}

fn show(args: &ShowArgs, directories: &[String]) -> Outcome {
    let read = || KargsArea::find(&Iso::open(&args.iso)?, directories);
    let area = read().map_err(|error| failure(&args.iso, error))?;
    say(if args.default {
        area.default
    } else {
        area.current
    });
    Ok(ExitCode::Pass)
}
