//! A `kolea run` that goes on while a test watches it and does things to it.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::facts;

/// How long a run, or a wait for an event of it, may take on a loaded machine without KVM.
const PATIENCE: Duration = Duration::from_secs(2400);

/// A run in the background. Its temporary files are below a directory of its own, which must be empty afterwards.
pub struct LiveRun {
    child: Child,
    root: tempfile::TempDir,
    started: Instant,
}

impl LiveRun {
    /// Starts `kolea run` on the fixture with this tree and these arguments.
    pub fn start(tree: &Path, arguments: &[&str]) -> LiveRun {
        LiveRun::start_with(&super::fixture(), tree, arguments, |_| {})
    }

    /// Starts it on another image.
    pub fn start_on(image: &Path, tree: &Path, arguments: &[&str]) -> LiveRun {
        LiveRun::start_with(image, tree, arguments, |_| {})
    }

    /// Starts it with the fixture's live ISO and profile as well.
    pub fn start_with_iso(tree: &Path, arguments: &[&str]) -> LiveRun {
        let (iso, profile) = (super::fixture_iso(), super::profile());
        let paths = [&iso, &profile].map(|path| path.to_str().unwrap());
        let live = ["--qemu-iso", paths[0], "-b", paths[1]];
        LiveRun::start(tree, &[&live, arguments].concat())
    }

    /// Starts it with the cache of other runs.
    pub fn start_with_cache(tree: &Path, cache: &Path, arguments: &[&str]) -> LiveRun {
        LiveRun::start_on_with_cache(&super::fixture(), tree, cache, arguments)
    }

    /// Starts it on another image, with the cache of other runs.
    pub fn start_on_with_cache(
        image: &Path,
        tree: &Path,
        cache: &Path,
        arguments: &[&str],
    ) -> LiveRun {
        facts::give(cache);
        LiveRun::start_with(image, tree, arguments, |command| {
            command.env("XDG_CACHE_HOME", cache);
        })
    }

    fn start_with(
        image: &Path,
        tree: &Path,
        arguments: &[&str],
        configure: impl Fn(&mut Command),
    ) -> LiveRun {
        let root = tempfile::tempdir_in("/var/tmp").unwrap();
        let mut command = super::kolea();
        Self::configure(&mut command, root.path());
        configure(&mut command);
        let started = Instant::now();
        let child = command
            .arg("run")
            .arg("--qemu-image")
            .arg(image)
            .arg("-E")
            .arg(tree)
            .args(["-j", "2", "--output-dir"])
            .arg(root.path().join("out"))
            .args(arguments)
            .stdout(std::fs::File::create(root.path().join("stdout")).unwrap())
            .stderr(std::fs::File::create(root.path().join("stderr")).unwrap())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        LiveRun {
            child,
            root,
            started,
        }
    }

    /// Gives a command this run's temporary directory, and a cache of its own: what earlier runs took must not decide what
    /// starts first.
    pub fn configure(command: &mut Command, root: &Path) {
        let (temp, cache) = (root.join("tmp"), root.join("cache"));
        std::fs::create_dir_all(&temp).unwrap();
        facts::give(&cache);
        command.env("TMPDIR", temp).env("XDG_CACHE_HOME", cache);
    }

    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub fn out(&self) -> PathBuf {
        self.root.path().join("out")
    }

    pub fn pid(&self) -> String {
        self.child.id().to_string()
    }

    /// Since it was started.
    pub fn elapsed(&self) -> Duration {
        self.started.elapsed()
    }

    /// Waits for the end, which has to be a pass.
    pub fn passes(&mut self) {
        assert_eq!(self.wait().code(), Some(0), "{}", self.said());
        self.assert_nothing_left();
    }

    /// A text file among the artefacts of a test's last attempt.
    pub fn artefact_of(&self, test: &str, name: &str) -> String {
        let mut events = self.events();
        events.retain(|event| event["event"] == "attempt-finished" && event["test"] == test);
        let last = events
            .pop()
            .unwrap_or_else(|| panic!("no attempt at {test}"));
        let path = last["artifacts"][name]
            .as_str()
            .unwrap_or_else(|| panic!("{test} has no {name}: {last}"));
        std::fs::read_to_string(self.out().join(path)).unwrap()
    }

    /// What a test printed in its last attempt.
    pub fn output_of(&self, test: &str) -> String {
        let mut events = self.events();
        events.retain(|event| event["event"] == "attempt-finished" && event["test"] == test);
        let last = events
            .pop()
            .unwrap_or_else(|| panic!("no attempt at {test}"));
        last["output"].as_str().unwrap().to_owned()
    }

    /// The value of the line `<key>=<value>` that a test printed.
    pub fn value_of(&self, test: &str, key: &str) -> String {
        let output = self.output_of(test);
        let line = output
            .lines()
            .find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
        line.unwrap_or_else(|| panic!("{test} did not print {key}: {output}"))
            .to_owned()
    }

    /// Where the machine of a group came from, as `machine-started` says it; the last one's if there were several.
    pub fn origin_of(&self, group: &str) -> Value {
        let mut events = self.events();
        events.retain(|event| event["event"] == "machine-started" && event["owner"] == group);
        let last = events
            .pop()
            .unwrap_or_else(|| panic!("no machine for {group}: {}", self.said()));
        last["origin"].clone()
    }

    /// The templates that were made (false) or found in the cache (true).
    pub fn templates(&self) -> Vec<bool> {
        let events = self.events();
        let ready = events
            .iter()
            .filter(|event| event["event"] == "template-ready");
        ready.map(|event| event["cached"] == true).collect()
    }

    /// What has happened so far.
    pub fn events(&self) -> Vec<Value> {
        let text = std::fs::read_to_string(self.out().join("events.jsonl")).unwrap_or_default();
        text.lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .collect()
    }

    /// Waits for an event.
    pub fn wait_for(&self, what: &str, matches: impl Fn(&Value) -> bool) -> Value {
        let started = Instant::now();
        loop {
            if let Some(event) = self.events().into_iter().find(&matches) {
                return event;
            }
            assert!(started.elapsed() < PATIENCE, "no {what}: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The machine that was started for a group.
    pub fn machine_of(&self, group: &str) -> String {
        let event = self.wait_for("machine", |event| {
            event["event"] == "machine-started" && event["owner"] == group
        });
        event["machine"].as_str().unwrap().to_owned()
    }

    /// Waits until a group is in a phase.
    pub fn wait_for_phase(&self, group: &str, phase: &str) {
        self.wait_for(phase, |event| {
            event["event"] == "phase-changed" && event["group"] == group && event["phase"] == phase
        });
    }

    /// Waits for the end.
    pub fn wait(&mut self) -> ExitStatus {
        let started = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(started.elapsed() < PATIENCE, "no end: {}", self.said());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The last word on a test: the verdict's kind and its reason.
    pub fn verdict(&self, test: &str) -> (String, String) {
        let event = self
            .events()
            .into_iter()
            .find(|event| {
                matches!(
                    event["event"].as_str(),
                    Some("test-finished" | "test-skipped")
                ) && event["test"] == test
            })
            .unwrap_or_else(|| panic!("no verdict on {test}: {}", self.said()));
        let verdict = &event["verdict"];
        let reason = match &verdict["reason"] {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        (verdict["verdict"].as_str().unwrap().to_owned(), reason)
    }

    /// What it printed.
    pub fn said(&self) -> String {
        let read = |name| std::fs::read_to_string(self.root.path().join(name)).unwrap_or_default();
        format!("{}\n{}", read("stdout"), read("stderr"))
    }

    /// No process and no temporary file of the run is left.
    pub fn assert_nothing_left(&self) {
        for event in self.events() {
            if event["event"] == "machine-started" {
                let machine = event["machine"].as_str().unwrap();
                assert_eq!(
                    pids_of(machine),
                    Vec::<String>::new(),
                    "QEMU of {machine} is still there"
                );
                assert_eq!(
                    tpms_of(machine),
                    Vec::<String>::new(),
                    "the TPM of {machine} is still there"
                );
                let dir = self.out().join(event["dir"].as_str().unwrap());
                assert!(
                    are_gone(|| relays_of(&dir)),
                    "relays of {machine} are still there"
                );
            }
        }
        let left: Vec<_> = std::fs::read_dir(self.root.path().join("tmp"))
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert!(left.is_empty(), "left behind: {left:?}");
    }
}

impl Drop for LiveRun {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        facts::keep(&self.root.path().join("cache"));
    }
}

/// The QEMU processes of a machine: those with its UUID on their command line.
pub fn pids_of(machine: &str) -> Vec<String> {
    let needle = machine.as_bytes();
    processes(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        line.windows(12).any(|part| part == b"qemu-system-")
            && line.windows(needle.len()).any(|part| part == needle)
    })
}

/// The swtpm processes of a machine: those that have a directory open that is named after it. Machines that may be frozen have
/// theirs elsewhere.
pub fn tpms_of(machine: &str) -> Vec<String> {
    processes(|pid| {
        let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
        let open = std::fs::read_dir(format!("/proc/{pid}/fd"));
        let paths = open.into_iter().flatten().flatten();
        name == "swtpm\n"
            && paths
                .filter_map(|entry| std::fs::read_link(entry.path()).ok())
                .any(|path| path.to_string_lossy().contains(machine))
    })
}

/// The processes between a machine and its own server: those that its QEMU's command names.
pub fn relays_of(dir: &Path) -> Vec<String> {
    let command = std::fs::read_to_string(dir.join("qemu-command.txt")).unwrap_or_default();
    let ends = command.split(" __relay ").skip(1);
    let address = |rest: &str| {
        rest.split([',', '\''])
            .next()
            .unwrap_or_default()
            .to_owned()
    };
    let relays: Vec<String> = ends
        .map(|rest| format!("\0__relay\0{}\0", address(rest)))
        .collect();
    processes(|pid| {
        let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        let line = String::from_utf8_lossy(&line);
        relays.iter().any(|relay| line.ends_with(relay.as_str()))
    })
}

/// Whether processes are gone that nobody waits for, or are so in a moment.
pub fn are_gone(find: impl Fn() -> Vec<String>) -> bool {
    let started = Instant::now();
    while !find().is_empty() {
        if started.elapsed() > Duration::from_secs(10) {
            return false;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    true
}

fn processes(is_one: impl Fn(&str) -> bool) -> Vec<String> {
    std::fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.unwrap().file_name().into_string().ok())
        .filter(|name| name.bytes().all(|byte| byte.is_ascii_digit()))
        .filter(|pid| is_one(pid))
        .collect()
}

/// Sends a signal.
pub fn signal(name: &str, pid: &str) {
    let status = Command::new("kill")
        .args(["-s", name, pid])
        .status()
        .unwrap();
    assert!(status.success(), "kill -s {name} {pid}");
}
