//! `--devshell`: a shell over SSH, by the system's own `ssh`, for as long as the machine is there.

use std::io::IsTerminal;
use std::time::Instant;

use anyhow::{Context, anyhow};
use kolea_machine::{BootId, DownKind, Machine, MachineError};
use kolea_model::ExitCode;
use tokio::process::Command;

use super::super::{Failure, Outcome};
use super::tell;
use crate::shell::{arguments, key_file};

/// What `ssh` exits with if it, rather than what ran over it, failed.
const LOST: i32 = 255;

/// Waits until the machine lets us in, and runs a shell, or the command, on it. A shell is opened again when the machine has been
/// rebooted from it; leaving it is the end of the machine.
pub async fn run(machine: &dyn Machine, command: Option<&str>) -> Outcome {
    tell(format_args!(
        "booting; the console is in {}",
        machine.dir().join("console.txt").display()
    ));
    let began = Instant::now();
    let mut boot: Option<BootId> = None;
    loop {
        boot = Some(match machine.wait_ready(boot.as_ref()).await {
            Ok(boot) => boot,
            Err(error) => return ended(error, command),
        });
        if boot.is_some() && command.is_none() {
            tell(format_args!(
                "ready after {:.1} s; leaving the shell ends the machine",
                began.elapsed().as_secs_f64()
            ));
        }
        match ssh(machine, command).await? {
            0 => return Ok(ExitCode::Pass),
            LOST if command.is_none() => tell("the connection is lost; waiting for the machine"),
            status if command.is_none() => {
                // What a shell exits with is that of its last command.
                tracing::debug!(status, "the shell has ended");
                return Ok(ExitCode::Pass);
            }
            LOST => {
                return Err(Failure::from(anyhow!(
                    "the connection was lost while `{}` ran",
                    command.unwrap_or_default()
                )));
            }
            status => {
                return Err(Failure::from(anyhow!(
                    "`{}` exited with status {status}",
                    command.unwrap_or_default()
                )));
            }
        }
    }
}

/// A machine that was powered off from its shell has come to its end as it should.
fn ended(error: MachineError, command: Option<&str>) -> Outcome {
    match error {
        MachineError::Down(down) if down.kind == DownKind::PoweredOff && command.is_none() => {
            Ok(ExitCode::Pass)
        }
        error => Err(Failure::from(anyhow!("{error}"))),
    }
}

/// The exit status of `ssh`.
async fn ssh(machine: &dyn Machine, command: Option<&str>) -> Result<i32, Failure> {
    let login = machine
        .ssh_login()
        .ok_or_else(|| Failure::from(anyhow!("there is no way into the machine over SSH")))?;
    let key = key_file(&login).with_context(|| {
        format!(
            "cannot write the key for ssh to {}",
            std::env::temp_dir().display()
        )
    })?;
    let mut ssh = Command::new("ssh");
    if command.is_some() && std::io::stdin().is_terminal() {
        ssh.arg("-t");
    }
    let status = ssh
        .args(arguments(&login, key.path()))
        .args(command)
        .kill_on_drop(true)
        .status()
        .await
        .context("cannot run `ssh`; install OpenSSH's client")?;
    Ok(status.code().unwrap_or(LOST))
}
