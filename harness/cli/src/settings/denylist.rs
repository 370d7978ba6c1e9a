//! Which denylist applies.

use std::path::PathBuf;

use anyhow::{Context, anyhow};
use kolea_suite::{Denylist, Severity};

use super::path;
use crate::args::GlobalArgs;
use crate::cmd::Failure;
use crate::workdir::Workdir;

/// The one that was named, or the working directory's, or none. What is wrong with it is printed.
pub fn read(global: &GlobalArgs, workdir: Option<&Workdir>) -> Result<Denylist, Failure> {
    let named = path(&global.select.denylist);
    let found = match named {
        Some(path) => Some(path.to_path_buf()),
        None => workdir.map(Workdir::denylist).filter(|path| path.exists()),
    };
    match found {
        Some(path) => parse(&path),
        None => Ok(Denylist::default()),
    }
}

fn parse(path: &PathBuf) -> Result<Denylist, Failure> {
    let text = std::fs::read_to_string(path)
        .with_context(|| format!("cannot read denylist {}", path.display()))
        .map_err(Failure::usage)?;
    let (denylist, problems) = Denylist::parse(&text, path);
    for problem in &problems {
        eprintln!("{problem}");
    }
    let errors = problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error)
        .count();
    match errors {
        0 => Ok(denylist),
        1 => Err(Failure::usage(anyhow!(
            "1 error in the denylist (above); nothing was booted"
        ))),
        _ => Err(Failure::usage(anyhow!(
            "{errors} errors in the denylist (above); nothing was booted"
        ))),
    }
}
