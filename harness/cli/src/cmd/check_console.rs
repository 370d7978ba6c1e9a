//! `kolea check-console`: the console rules on logs from elsewhere, with kola's output.

use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use kolea_model::ExitCode;

use super::{Failure, Outcome};
use crate::args::{CheckConsoleArgs, Invocation};
use crate::program::Program;
use crate::settings::Distro;

/// Runs the subcommand. All files are read, whatever is in the first. The rules are those for all, and the distribution's own.
pub fn main(invocation: &Invocation, args: &CheckConsoleArgs) -> Outcome {
    let global = &invocation.cli.global;
    let verbose = global.log.verbosity() > 0;
    let distro = Distro::resolve(global, None).map_err(Failure::usage)?;
    let own = &distro.profile.console_patterns;
    let stdin = [PathBuf::from("-")];
    let files = if args.files.is_empty() {
        &stdin[..]
    } else {
        &args.files
    };
    let (mut found, mut unread) = (false, false);
    for file in files {
        match read(file, verbose) {
            Ok((name, text)) => {
                for finding in kolea_engine::check_console(&text, own) {
                    found = true;
                    // A closed pipe does not change what was found.
                    let _ = writeln!(io::stdout().lock(), "{name}: {}", finding.rule);
                }
            }
            Err(error) => {
                unread = true;
                eprintln!(
                    "{}: cannot read {}: {error}",
                    Program::current().name(),
                    file.display()
                );
            }
        }
    }
    if found {
        return Err(Failure::from(anyhow!("Errors found on console")));
    }
    if unread {
        return Err(Failure::usage(anyhow!("not everything could be read")));
    }
    Ok(ExitCode::Pass)
}

/// A log, and the name it goes by. Consoles are not always UTF-8.
fn read(file: &Path, verbose: bool) -> io::Result<(String, String)> {
    let mut bytes = Vec::new();
    let name = if file == Path::new("-") {
        if verbose {
            crate::program::say("Reading input from stdin...");
        }
        io::stdin().lock().read_to_end(&mut bytes)?;
        "stdin".to_owned()
    } else {
        bytes = std::fs::read(file)?;
        file.display().to_string()
    };
    Ok((name, String::from_utf8_lossy(&bytes).into_owned()))
}
