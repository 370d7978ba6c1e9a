//! A machine that is a directory of this host: commands run here, with stand-ins for systemd's programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::Mutex;

use async_trait::async_trait;
use kolea_model::{ExternalTest, TestCase, TestSource};
use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::sync::{mpsc, watch};

use super::AgentChannel;
use crate::{BootId, Down, Exec, ExecOutput, Line, Machine, MachineError, RunBy};

const SUDO: &str = r#"case $1 in /*) program=$KOLET_ROOT$1; shift; exec "$program" "$@" ;; esac
exec "$@""#;

/// Starts `$KOLET_ROOT/test` and remembers how it ended, in the words of `systemctl show`.
const SYSTEMCTL: &str = r#"echo "systemctl $*" >>"$KOLET_ROOT/log"
cd "$KOLET_ROOT" || exit
case $* in
"start "*)
    [ -e test ] || { echo "Unit not found." >&2; exit 5; }
    rm -f ended
    sh -c './test; echo $? >ended.partial; mv ended.partial ended' </dev/null >/dev/null 2>&1 &
    echo $! >pid ;;
"show --property=MainPID"*)
    if [ ! -e ended ]; then echo "MainPID=$(cat pid)"; echo ExecMainCode=0; exit; fi
    read -r status <ended
    echo MainPID=0
    if [ "$status" -gt 128 ]; then echo ExecMainCode=2; status=$((status - 128)); else echo ExecMainCode=1; fi
    echo "ExecMainStatus=$status"
    echo "ActiveState=active"; echo "SubState=exited"
    echo "Result=$(cat result 2>/dev/null || echo success)" ;;
"show --property=SoftRebootsCount"*) cat soft-reboots 2>/dev/null || echo ;;
*) cat "systemctl-$1" 2>/dev/null ;;
esac"#;

/// `tail --pid=PID` for hosts whose first process takes its time to reap, unlike systemd.
const TAIL: &str = r#"while read -r stat </proc/"${1#--pid=}"/stat 2>/dev/null; do
case $stat in *') Z '*) exit ;; esac
sleep 0.02
done"#;

const LOG: &str = r#"echo "${0##*/} $*" >>"$KOLET_ROOT/log""#;

/// See the module.
#[derive(Debug)]
pub(crate) struct LocalMachine {
    root: tempfile::TempDir,
    /// The labels of what was run.
    pub(crate) labels: Mutex<Vec<&'static str>>,
    /// The agent that serves, if there is one.
    pub(crate) channel: Option<AgentChannel>,
    agent: Option<tokio::process::Child>,
}

impl LocalMachine {
    pub(crate) fn new() -> LocalMachine {
        let machine = LocalMachine {
            root: tempfile::tempdir().unwrap(),
            labels: Mutex::default(),
            channel: None,
            agent: None,
        };
        for directory in ["bin", "tmp", "run", "proc", "usr/local/bin"] {
            fs::create_dir_all(machine.path(directory)).unwrap();
        }
        fs::write(machine.path("proc/cmdline"), "root=/dev/vda quiet\n").unwrap();
        for (name, body) in [
            ("sudo", SUDO),
            ("systemctl", SYSTEMCTL),
            ("tail", TAIL),
            ("journalctl", LOG),
            ("logger", LOG),
        ] {
            machine.script(&format!("bin/{name}"), body);
        }
        machine
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.root.path().join(name)
    }

    pub(crate) fn script(&self, name: &str, body: &str) {
        let path = self.path(name);
        fs::write(&path, format!("#!/bin/sh\n{body}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Puts kolet where it belongs.
    pub(crate) fn with_kolet(self) -> LocalMachine {
        let kolet = self.path("usr/local/bin/kolet");
        fs::write(&kolet, include_str!("kolet.sh")).unwrap();
        fs::set_permissions(&kolet, fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// Has kolet serve, run by that shell; `relay` stands for the port's way.
    pub(crate) async fn serving(
        mut self,
        shell: &str,
        relay: impl FnOnce(UnixStream) -> UnixStream,
    ) -> LocalMachine {
        let (host, guest) = std::os::unix::net::UnixStream::pair().unwrap();
        host.set_nonblocking(true).unwrap();
        let kolet = self.path("usr/local/bin/kolet");
        let child = self
            .command(shell)
            .args([kolet.to_str().unwrap(), "serve", "-"])
            .stdin(std::os::fd::OwnedFd::from(guest))
            .stdout(Stdio::null())
            .stderr(fs::File::create(self.path("journal")).unwrap())
            .spawn()
            .unwrap();
        let channel = AgentChannel::new(relay(UnixStream::from_std(host).unwrap()));
        channel.hello().await.unwrap();
        self.agent = Some(child);
        self.channel = Some(channel);
        self
    }

    /// What the agent exits with when its port has been closed.
    pub(crate) async fn agent_ends(&mut self) -> Option<i32> {
        self.agent.take().unwrap().wait().await.unwrap().code()
    }

    pub(crate) fn log(&self) -> String {
        fs::read_to_string(self.path("log")).unwrap_or_default()
    }

    pub(crate) fn command(&self, program: &str) -> tokio::process::Command {
        let path = std::env::var("PATH").unwrap();
        let mut command = tokio::process::Command::new(program);
        command
            .env("PATH", format!("{}:{path}", self.path("bin").display()))
            .env("KOLET_ROOT", self.root.path())
            .env("HOME", self.path("home"))
            .kill_on_drop(true);
        command
    }
}

#[async_trait]
impl Machine for LocalMachine {
    fn id(&self) -> &str {
        "local"
    }

    fn dir(&self) -> &Path {
        self.root.path()
    }

    async fn wait_ready(&self, _previous: Option<&BootId>) -> Result<BootId, MachineError> {
        Ok(BootId("next".to_owned()))
    }

    async fn exec(&self, exec: Exec) -> Result<ExecOutput, MachineError> {
        self.labels.lock().unwrap().push(exec.label);
        if let Some(channel) = self.channel.as_ref().filter(|_| exec.by != RunBy::User) {
            return channel.exec(&exec).await;
        }
        let mut child = self
            .command("sh")
            .args(["-c", &exec.over_ssh("core")])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        match stdin.write_all(&exec.stdin).await {
            // A command need not read what it is given.
            Err(error) if error.kind() == std::io::ErrorKind::BrokenPipe => {}
            written => written.unwrap(),
        }
        drop(stdin);
        let output = child.wait_with_output().await.unwrap();
        Ok(ExecOutput {
            status: output.status.code().unwrap_or(255),
            stdout: output.stdout,
            stderr: output.stderr,
        })
    }

    async fn down(&self) -> Down {
        std::future::pending().await
    }

    fn take_lines(&self) -> Option<mpsc::Receiver<Line>> {
        None
    }

    fn resets(&self) -> watch::Receiver<u32> {
        watch::channel(0).1
    }

    async fn remove_disk(&self, id: &str) -> Result<(), MachineError> {
        Err(MachineError::Harness(format!(
            "this machine has no disk {id}"
        )))
    }

    async fn stop(&self) -> String {
        String::new()
    }
}

/// An external test with nothing special about it.
pub(crate) fn test_case(name: &str, executable: &str) -> TestCase {
    TestCase::new(
        name,
        TestSource::External(ExternalTest {
            executable: executable.into(),
            data: None,
        }),
    )
}
