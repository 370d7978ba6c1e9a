//! `--devshell`: a shell over SSH, by the system's own `ssh`, for as long as the machine is there.

use std::io::IsTerminal;
use std::path::Path;
use std::time::{Duration, Instant};

use anyhow::{Context, anyhow};
use kolea_machine::{BootId, DownKind, Machine, MachineError};
use kolea_model::ExitCode;
use tokio::process::Command;
use tokio::time::timeout;

use super::super::{Failure, Outcome};
use super::tell;
use crate::shell::{arguments, key_file};

/// What `ssh` exits with if it, rather than what ran over it, failed.
const LOST: i32 = 255;
/// How long a machine whose connection is lost may take to be in another boot before it may be in the same one as well.
const REBOOT: Duration = Duration::from_secs(20);

/// Waits until the machine lets us in, and runs a shell, or the command, on it. A shell is opened again when the machine has been
/// rebooted from it; leaving it is the end of the machine.
pub async fn run(machine: &dyn Machine, console: &Path, command: Option<&str>) -> Outcome {
    tell(format_args!(
        "booting; the console is in {}",
        console.display()
    ));
    let began = Instant::now();
    let mut boot: Option<BootId> = None;
    loop {
        let other = machine.wait_ready(boot.as_ref());
        let ready = match &boot {
            None => other.await,
            Some(_) => match timeout(REBOOT, other).await {
                Ok(ready) => ready,
                // In whatever boot: the connection may have been lost for another reason, or user space alone restarted.
                Err(_) => machine.wait_ready(None).await,
            },
        };
        boot = Some(match ready {
            Ok(boot) => boot,
            Err(error) => return ended(error, command),
        });
        if command.is_none() {
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
    if command.is_some() && std::io::stdin().is_terminal() && std::io::stdout().is_terminal() {
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
