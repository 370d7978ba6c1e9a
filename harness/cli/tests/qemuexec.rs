//! `kolea qemuexec` on the fixture image: a command and a shell over SSH, the console, and the command that it prints.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

use support::live::{LiveRun, signal};
use support::{fixture, kolea, texts};

/// How long a boot may take on a loaded machine without KVM.
const PATIENCE: Duration = Duration::from_secs(600);

fn qemuexec(root: &Path, arguments: &[&str]) -> Command {
    let mut command = kolea();
    LiveRun::configure(&mut command, root);
    command
        .current_dir(root)
        .arg("qemuexec")
        .arg(fixture())
        .args(["--output-dir", "out"])
        .args(arguments);
    command
}

/// Nothing temporary is left.
fn assert_nothing_left(root: &Path) {
    let left: Vec<_> = fs::read_dir(root.join("tmp"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}

#[test]
fn a_command_runs_on_a_machine_as_the_flags_have_it() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let shared = root.path().join("shared");
    fs::create_dir(&shared).unwrap();
    fs::write(
        root.path().join("own.bu"),
        "variant: fcos\nversion: 1.4.0\nstorage:\n  files:\n    - path: /etc/own\n      contents:\n        inline: mine\n",
    )
    .unwrap();
    let command = "hostname; cat /etc/own; echo; lsblk -dno SERIAL,SIZE; grep -c . /proc/net/dev; \
                   tr ' ' '\\n' </proc/cmdline | grep kolea | sort; ip -4 -o address show | grep -o '192.168.76.[0-9]*/'; \
                   touch /var/mnt/read/file || cat /var/mnt/read/given; echo written | sudo tee /var/mnt/shared/file; \
                   systemctl cat getty@.service | grep -o 'autologin [a-z]*'";
    let bind = format!("{},/var/mnt/shared", shared.display());
    let given = root.path().join("given");
    fs::create_dir(&given).unwrap();
    fs::write(given.join("given"), "given\n").unwrap();
    let read = format!("{},/var/mnt/read", given.display());
    let output = qemuexec(
        root.path(),
        &[
            "--hostname",
            "fred",
            "-B",
            "own.bu",
            "-D",
            "2G:serial=second",
            "-m",
            "1200",
            "--additional-nics",
            "1",
            "--kargs",
            "kolea.a=1",
            "--kargs",
            "kolea.b=2",
            "--firstbootkargs",
            "kolea.first",
            "--usernet-addr",
            "192.168.76.0/24",
            "--bind-ro",
            &read,
            "--bind-rw",
            &bind,
            "--add-ignition",
            "autologin",
            "-x",
            command,
        ],
    )
    .output()
    .unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(output.status.success(), "{stdout}\n{stderr}");
    let words: Vec<&str> = stdout.split_whitespace().collect();
    let expected = [
        "fred",
        "mine",
        "second",
        "2G",
        "primary-disk",
        "4G",
        // Two lines of headings, lo and two interfaces.
        "5",
        "kolea.a=1",
        "kolea.b=2",
        "kolea.first",
        "192.168.76.15/",
        "given",
        "written",
        "autologin",
        "core",
    ];
    assert_eq!(words, expected, "{stderr}");
    assert_eq!(
        fs::read_to_string(shared.join("file")).unwrap(),
        "written\n"
    );
    assert!(stderr.contains("console.txt"), "{stderr}");
    assert_nothing_left(root.path());
}

#[cfg(feature = "all-tests")] // two boots
#[test]
fn the_printed_command_boots_the_machine_again_and_again() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let output = qemuexec(
        root.path(),
        &["--print-command", "--add-ignition", "autologin"],
    )
    .output()
    .unwrap();
    let (line, stderr) = texts(&output);
    assert!(output.status.success(), "{stderr}");
    assert_nothing_left(root.path());
    // What the first boot did is there in the second, in which Ignition does not run again.
    for (enter, answer) in [
        ("sudo touch /var/once; echo done $((40 + 2))", "done 42"),
        (
            "ls /var/once; echo done $((40 + 3))",
            "/var/once\r\ndone 43",
        ),
    ] {
        let mut shell = Command::new("sh");
        shell.arg("-c").arg(format!("exec {line}"));
        let mut console = Console::open(&shell);
        console.wait_for("$ ");
        console.enter(enter);
        console.wait_for(answer);
        console.enter("sudo poweroff");
        assert!(console.end().success());
    }
}

#[test]
fn the_console_is_the_terminals_and_an_initramfs_that_fails_is_told() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    // No file system has that label: Ignition fails when it mounts it.
    fs::write(
        root.path().join("bad.ign"),
        r#"{"ignition":{"version":"3.0.0"},"storage":{"filesystems":[{"device":"/dev/disk/by-label/nowhere","format":"ext4","path":"/srv"}]}}"#,
    )
    .unwrap();
    let mut console = Console::open(&qemuexec(
        root.path(),
        &["-i", "bad.ign", "--propagate-initramfs-failure"],
    ));
    console.wait_for("systemd");
    let status = console.end();
    assert_eq!(status.code(), Some(1), "{}", console.seen());
    let said = console.seen();
    assert!(
        said.contains("the machine cannot go on: Ignition failed in the initramfs: failed to"),
        "{said}"
    );
    assert_nothing_left(root.path());
}

/// Whichever way it ends, the terminal is as it was before.
#[test]
fn a_terminal_is_given_back() {
    type End = fn(&mut Console);
    let key: End = |console| console.type_in("\u{1}x");
    let signalled: End = |console| signal("TERM", &console.child_called("kolea"));
    for (way, end, code) in [("Ctrl-A X", key, 0), ("SIGTERM", signalled, 130)] {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut console = Console::on_terminal(&qemuexec(root.path(), &[]));
        console.wait_for("SeaBIOS");
        end(&mut console);
        console.wait_for("the terminal is the same");
        let status = console.end();
        assert_eq!(status.code(), Some(code), "{way}: {}", console.seen());
        assert_nothing_left(root.path());
    }
}

/// A shell over SSH, and another one when the machine has been rebooted from it.
#[test]
fn a_shell_is_opened_again_after_a_reboot() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let mut console = Console::open(&qemuexec(root.path(), &["--devshell"]));
    console.wait_for("ready after");
    console.enter("hostname; echo $((40 + 2))");
    console.wait_for("cosa-devsh\n42");
    console.enter("sudo systemctl reboot");
    console.wait_for("the connection is lost");
    console.wait_for("ready after");
    console.enter("uptime -p; echo $((40 + 3)); exit");
    console.wait_for("43");
    assert!(console.end().success(), "{}", console.seen());
    assert_nothing_left(root.path());
}

/// A program whose standard input and output are a guest's console, or a shell on it; what it says itself is among that.
struct Console {
    child: Child,
    pieces: Receiver<Vec<u8>>,
    seen: Vec<u8>,
    /// What was seen before is not waited for again.
    from: usize,
}

impl Console {
    fn open(command: &Command) -> Console {
        let mut shell = Command::new("sh");
        shell.args(["-c", "exec \"$@\" 2>&1", "sh"]);
        shell.arg(command.get_program()).args(command.get_args());
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(key, value),
                None => shell.env_remove(key),
            };
        }
        if let Some(dir) = command.get_current_dir() {
            shell.current_dir(dir);
        }
        let mut child = shell
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut output = child.stdout.take().unwrap();
        let (sender, pieces) = channel();
        std::thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = output.read(&mut buffer) {
                if sender.send(buffer[..count].to_vec()).is_err() {
                    break;
                }
            }
        });
        Console {
            child,
            pieces,
            seen: Vec::new(),
            from: 0,
        }
    }

    /// With a terminal, of which it says in the end whether it is as it was.
    fn on_terminal(command: &Command) -> Console {
        let words: Vec<_> = [command.get_program()]
            .into_iter()
            .chain(command.get_args())
            .map(|word| format!("'{}'", word.to_str().unwrap()))
            .collect();
        let line = format!(
            "mode=$(stty -g); {}; status=$?; [ \"$(stty -g)\" != \"$mode\" ] || echo the terminal is the same; exit $status",
            words.join(" ")
        );
        let mut script = Command::new("script");
        script.args(["--quiet", "--return", "--flush", "--command", &line]);
        script.arg("/dev/null").env("SHELL", "/bin/sh");
        for (key, value) in command.get_envs() {
            match value {
                Some(value) => script.env(key, value),
                None => script.env_remove(key),
            };
        }
        script.current_dir(command.get_current_dir().unwrap());
        Console::open(&script)
    }

    /// The process ID of a program that was started in the terminal's shell.
    fn child_called(&self, name: &str) -> String {
        let children = |pid: &str| {
            let all = format!("/proc/{pid}/task/{pid}/children");
            fs::read_to_string(all).unwrap_or_default()
        };
        let mut pids = vec![self.child.id().to_string()];
        while let Some(pid) = pids.pop() {
            let command = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            if command.trim() == name {
                return pid;
            }
            pids.extend(children(&pid).split_whitespace().map(str::to_owned));
        }
        panic!("no {name} is running: {}", self.seen());
    }

    fn wait_for(&mut self, text: &str) {
        let end = Instant::now() + PATIENCE;
        loop {
            let new = &self.seen[self.from..];
            let found = new
                .windows(text.len())
                .position(|part| part == text.as_bytes());
            if let Some(at) = found {
                self.from += at + text.len();
                return;
            }
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.seen.extend(piece),
                Err(error) => panic!("no {text:?} ({error}): {}", self.seen()),
            }
        }
    }

    fn enter(&mut self, line: &str) {
        self.type_in(&format!("{line}\n"));
    }

    fn type_in(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).unwrap();
        input.flush().unwrap();
    }

    /// Reads to the end.
    fn end(&mut self) -> ExitStatus {
        let end = Instant::now() + PATIENCE;
        loop {
            let left = end.saturating_duration_since(Instant::now());
            match self.pieces.recv_timeout(left) {
                Ok(piece) => self.seen.extend(piece),
                Err(RecvTimeoutError::Disconnected) => return self.child.wait().unwrap(),
                Err(RecvTimeoutError::Timeout) => panic!("no end: {}", self.seen()),
            }
        }
    }

    fn seen(&self) -> String {
        String::from_utf8_lossy(&self.seen).into_owned()
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
