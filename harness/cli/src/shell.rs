//! `--ssh-on-test-failure`: a shell on the machine of a failed test, by the system's own `ssh`.

use std::ffi::OsString;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use async_trait::async_trait;
use kolea_engine::FailureShell;
use kolea_machine::SshLogin;
use kolea_report::TerminalHandle;
use nix::sys::termios::{SetArg, Termios, tcgetattr, tcsetattr};
use tempfile::NamedTempFile;
use tokio::process::Command;

/// Borrows the terminal of the run.
#[derive(Debug)]
struct TerminalShell {
    terminal: TerminalHandle,
    ssh: PathBuf,
}

/// What opens shells on the terminal; why there can be none, if standard input or output is something else.
pub fn on_terminal(terminal: TerminalHandle) -> Result<Arc<dyn FailureShell>, String> {
    for (name, is_terminal) in [
        ("input", io::stdin().is_terminal()),
        ("output", io::stdout().is_terminal()),
    ] {
        if !is_terminal {
            return Err(format!(
                "--ssh-on-test-failure has no effect: standard {name} is not a terminal"
            ));
        }
    }
    Ok(Arc::new(TerminalShell {
        terminal,
        ssh: PathBuf::from("ssh"),
    }))
}

#[async_trait]
impl FailureShell for TerminalShell {
    async fn open(&self, test: &str, reason: &str, login: &SshLogin) {
        // Dropped in the opposite order: first `ssh` goes, then the terminal is as it was, and the run has it again.
        let _lent = self.terminal.lend();
        let _mode = Mode::save();
        let key = match key_file(login) {
            Ok(key) => key,
            Err(error) => {
                let dir = std::env::temp_dir();
                eprintln!(
                    "kolea: no shell for {}: cannot write the key to {}: {error}",
                    plain(test),
                    dir.display()
                );
                return;
            }
        };
        eprintln!(
            "\n--- {} failed: {}\n--- This is its machine; leave with `exit`. Other tests go on meanwhile.",
            plain(test),
            plain(reason)
        );
        let status = Command::new(&self.ssh)
            .args(arguments(login, key.path()))
            .kill_on_drop(true)
            .status()
            .await;
        match status {
            // What the shell exits with is the person's business; 255 is ssh's own.
            Ok(status) if status.code() != Some(255) => eprintln!("--- back in the run"),
            Ok(_) => eprintln!("--- ssh has lost the machine, or did not get in: back in the run"),
            Err(error) => eprintln!(
                "kolea: no shell for {}: cannot run `{}`: {error}",
                plain(test),
                self.ssh.display()
            ),
        }
    }
}

/// The key in a file of its own, which nobody else can read and which is gone with the value.
pub fn key_file(login: &SshLogin) -> io::Result<NamedTempFile> {
    let mut file = NamedTempFile::with_prefix("kolea-key-")?;
    file.write_all(login.private_key.as_bytes())?;
    if !login.private_key.ends_with('\n') {
        file.write_all(b"\n")?;
    }
    file.flush()?;
    Ok(file)
}

/// Nothing of the user's own configuration is to have a say: no agent, no multiplexing, no jump host.
pub fn arguments(login: &SshLogin, key: &Path) -> Vec<OsString> {
    let mut arguments: Vec<OsString> =
        vec!["-F".into(), "/dev/null".into(), "-i".into(), key.into()];
    for option in [
        "IdentitiesOnly=yes",
        "IdentityAgent=none",
        "StrictHostKeyChecking=no",
        "UserKnownHostsFile=/dev/null",
        "LogLevel=ERROR",
        "ConnectTimeout=30",
    ] {
        arguments.extend(["-o".into(), option.into()]);
    }
    arguments.extend(["-p".into(), login.port.to_string().into()]);
    arguments.push(format!("{}@{}", login.user, login.host).into());
    arguments
}

/// Text that says nothing to the terminal itself.
fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).collect()
}

/// How the terminal was set: an `ssh` that is killed leaves it raw.
struct Mode(Termios);

impl Mode {
    fn save() -> Option<Mode> {
        tcgetattr(io::stdin()).ok().map(Mode)
    }
}

impl Drop for Mode {
    fn drop(&mut self) {
        // A terminal that is gone needs no setting.
        let _ = tcsetattr(io::stdin(), SetArg::TCSANOW, &self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn login() -> SshLogin {
        SshLogin {
            host: "127.0.0.1".to_owned(),
            port: 2222,
            user: "core".to_owned(),
            private_key: "-----KEY-----".to_owned(),
        }
    }

    #[tokio::test]
    async fn ssh_gets_a_key_that_only_we_can_read_and_that_is_gone_afterwards() {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        let log = path("log");
        fs::write(
            path("ssh"),
            format!(
                "#!/bin/sh\nexec >{}\necho \"$@\"\nstat -c %a \"$4\"\ncat \"$4\"\n",
                log.display()
            ),
        )
        .unwrap();
        fs::set_permissions(path("ssh"), fs::Permissions::from_mode(0o755)).unwrap();
        let shell = TerminalShell {
            terminal: TerminalHandle::default(),
            ssh: path("ssh"),
        };
        shell.open("ext.a.b", "it failed", &login()).await;
        let text = fs::read_to_string(log).unwrap();
        let lines: Vec<&str> = text.lines().collect();
        let words: Vec<&str> = lines[0].split(' ').collect();
        assert_eq!(words[..3], ["-F", "/dev/null", "-i"]);
        assert!(lines[0].ends_with(
            "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR \
             -o ConnectTimeout=30 -p 2222 core@127.0.0.1"
        ));
        assert_eq!(lines[1..], ["600", "-----KEY-----"]);
        assert!(!Path::new(words[3]).exists());
    }

    #[tokio::test]
    async fn a_host_without_ssh_goes_on() {
        let shell = TerminalShell {
            terminal: TerminalHandle::default(),
            ssh: PathBuf::from("/nowhere/ssh"),
        };
        shell.open("t", "r", &login()).await;
        drop(shell.terminal.lend());
    }

    #[test]
    fn what_a_test_says_does_not_move_the_cursor() {
        assert_eq!(plain("a\u{1b}[2Jb\nc"), "a[2Jbc");
    }
}
