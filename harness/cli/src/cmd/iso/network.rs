//! `kolea iso network`.

use std::collections::BTreeMap;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use clap::{Args, Subcommand};
use kolea_iso::{EmbedRequest, IgnitionArea, Iso, NetworkChange, keyfiles};
use kolea_model::ExitCode;

use super::{TargetArgs, change, directories, failure};
use crate::args::GlobalArgs;
use crate::cmd::{Failure, Outcome};
use crate::program::say;

/// What `kolea iso network` does.
#[derive(Debug, Clone, Subcommand)]
pub enum NetworkCommand {
    /// Embed NetworkManager keyfiles
    Embed(EmbedArgs),
    /// Print the keyfiles that are embedded, or write them to a directory
    Extract(ExtractArgs),
    /// Remove the keyfiles that are embedded
    Remove(TargetArgs),
}

/// `kolea iso network embed`.
#[derive(Debug, Clone, Args)]
pub struct EmbedArgs {
    /// A keyfile; can be given several times
    #[arg(short, long, value_name = "FILE", required = true)]
    keyfile: Vec<PathBuf>,
    /// Replace all keyfiles that are embedded already
    #[arg(short, long)]
    force: bool,
    /// Where it goes.
    #[command(flatten)]
    target: TargetArgs,
}

/// `kolea iso network extract`.
#[derive(Debug, Clone, Args)]
pub struct ExtractArgs {
    /// Write them to this directory, which must have no files of their names [default: print them]
    #[arg(short = 'C', long, value_name = "DIR")]
    directory: Option<PathBuf>,
    /// The image
    #[arg(value_name = "ISO")]
    iso: PathBuf,
}

/// Runs the subcommand.
pub fn main(global: &GlobalArgs, command: &NetworkCommand) -> Outcome {
    let directories = directories(global)?;
    let (target, network) = match command {
        NetworkCommand::Extract(args) => return extract(args, &directories),
        NetworkCommand::Remove(target) => (target, NetworkChange::Remove),
        NetworkCommand::Embed(args) => {
            let change = NetworkChange::Embed {
                keyfiles: read(&args.keyfile).map_err(Failure::usage)?,
                replace: args.force,
            };
            (&args.target, change)
        }
    };
    let request = EmbedRequest {
        directories,
        network: Some(network),
        ..EmbedRequest::default()
    };
    change(target, &request)?;
    Ok(ExitCode::Pass)
}

/// The keyfiles by their names, without directories.
fn read(paths: &[PathBuf]) -> anyhow::Result<BTreeMap<String, Vec<u8>>> {
    let mut keyfiles = BTreeMap::new();
    for path in paths {
        let contents =
            fs::read(path).with_context(|| format!("cannot read keyfile {}", path.display()))?;
        let name = path.file_name().and_then(|name| name.to_str());
        let name = name.ok_or_else(|| {
            anyhow!(
                "keyfile {}: its name is not UTF-8; rename it",
                path.display()
            )
        })?;
        if keyfiles.insert(name.to_owned(), contents).is_some() {
            return Err(anyhow!(
                "several keyfiles are named {name:?}; rename all but one"
            ));
        }
    }
    Ok(keyfiles)
}

fn extract(args: &ExtractArgs, directories: &[String]) -> Outcome {
    let read = || {
        let iso = Iso::open(&args.iso)?;
        IgnitionArea::find(&iso, directories)?.read(&iso)
    };
    let (archive, _) = read().map_err(|error| failure(&args.iso, error))?;
    let keyfiles = keyfiles(&archive);
    if keyfiles.is_empty() {
        let iso = args.iso.display();
        return Err(anyhow!("{iso}: no network keyfiles are embedded").into());
    }
    match &args.directory {
        Some(directory) => {
            for path in write(&keyfiles, directory)? {
                say(path.display());
            }
        }
        None => {
            // A closed pipe is no error.
            let _ = print(&keyfiles, &mut io::stdout().lock());
        }
    }
    Ok(ExitCode::Pass)
}

/// As coreos-installer prints them.
fn print(keyfiles: &BTreeMap<&str, &[u8]>, out: &mut impl Write) -> io::Result<()> {
    for (number, (name, contents)) in keyfiles.iter().enumerate() {
        if number > 0 {
            writeln!(out)?;
        }
        writeln!(out, "########## {name} ##########")?;
        out.write_all(contents)?;
    }
    out.flush()
}

/// Writes them so that only their owner can read them: passwords may be in them, and NetworkManager takes no others.
fn write(keyfiles: &BTreeMap<&str, &[u8]>, directory: &Path) -> anyhow::Result<Vec<PathBuf>> {
    fs::create_dir_all(directory)
        .with_context(|| format!("cannot create {}", directory.display()))?;
    let mut written = Vec::new();
    for (name, contents) in keyfiles {
        let path = directory.join(name);
        let file = OpenOptions::new()
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&path);
        file.and_then(|mut file| file.write_all(contents))
            .with_context(|| format!("cannot write {}", path.display()))?;
        written.push(path);
    }
    Ok(written)
}
