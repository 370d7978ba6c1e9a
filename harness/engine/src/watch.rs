//! Reads everything a machine says, from its first line to its last: applies the rules, gathers each test's own
//! output, and remembers the last sign of progress.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use kolea_machine::{JournalEntry, Line};
use kolea_model::{EventKind, Finding, FindingSource};
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

use crate::EventSender;
use crate::log::TestLog;
use crate::rules::{RuleSet, Rules, sanitise};

/// How many of the console's last lines are kept.
const CONSOLE_END: usize = 30;
/// How much of a console line is kept, in bytes.
const LONGEST_CONSOLE_LINE: usize = 1024;

/// A test whose output is to be told from everybody else's.
#[derive(Clone, Debug)]
pub(crate) struct WatchedTest {
    /// The test's name.
    pub test: String,
    /// Its unit.
    pub unit: String,
    /// The identifier that the unit's output has in the journal.
    pub identifier: String,
    /// The agent's message when the unit has ended, or asked for a reboot.
    pub end_marker: String,
}

/// What is to be watched, and under which names it is reported.
#[derive(Debug)]
pub(crate) struct WatchOrder {
    /// The machine's UUID.
    pub machine: String,
    /// Its group.
    pub owner: String,
    /// Its directory.
    pub dir: PathBuf,
    /// The tests that will run on it.
    pub tests: Vec<WatchedTest>,
    /// The rules to be applied, if any are.
    pub rules: Option<Arc<RuleSet>>,
    /// Whether findings count; they are warnings otherwise.
    pub findings_count: bool,
}

#[derive(Debug)]
struct Watched {
    test: WatchedTest,
    log: TestLog,
    ends: usize,
}

#[derive(Debug)]
struct State {
    rules: Option<Rules>,
    findings: Vec<Finding>,
    /// The console's last lines as they came: making them presentable costs more than the rules.
    console: VecDeque<String>,
    tests: Vec<Watched>,
    ignition_journal: Option<(u8, String)>,
    ignition_console: Option<(u8, String)>,
    /// What went wrong last when Ignition fetched something, which it may try again.
    ignition_fetch: Option<String>,
    log_fault_reported: bool,
    /// Whether any rule matched, be it that it counts or not.
    found: bool,
}

impl State {
    fn console_end(&self) -> Vec<String> {
        let lines = self.console.iter().map(|line| sanitise(line));
        lines.filter(|line| !line.is_empty()).collect()
    }
}

/// What others may wait for.
#[derive(Clone, Debug, Default)]
struct Progress {
    /// Counts what somebody may wait for in the state.
    news: usize,
    fatal: Option<Finding>,
    closed: bool,
}

#[derive(Debug)]
struct Shared {
    order: WatchOrder,
    events: EventSender,
    state: Mutex<State>,
    progress: watch::Sender<Progress>,
}

/// The reader of one machine. Dropping it does not stop it: it ends with the machine.
#[derive(Clone, Debug)]
pub(crate) struct Watcher {
    shared: Arc<Shared>,
}

impl Watcher {
    /// Starts to read. Without `lines` (somebody else reads them) nothing is ever seen.
    pub fn start(
        order: WatchOrder,
        lines: Option<mpsc::Receiver<Line>>,
        events: EventSender,
    ) -> Self {
        let tests = order.tests.iter().map(|test| Watched {
            log: TestLog::new(&order.dir, &test.test),
            test: test.clone(),
            ends: 0,
        });
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                rules: order.rules.clone().map(Rules::new),
                findings: Vec::new(),
                console: VecDeque::with_capacity(CONSOLE_END),
                tests: tests.collect(),
                ignition_journal: None,
                ignition_console: None,
                ignition_fetch: None,
                log_fault_reported: false,
                found: false,
            }),
            progress: watch::Sender::new(Progress {
                closed: lines.is_none(),
                ..Progress::default()
            }),
            order,
            events,
        });
        if let Some(lines) = lines {
            tokio::spawn(read(Arc::clone(&shared), lines));
        }
        Watcher { shared }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.shared.state()
    }

    /// The machine has told its distribution: from now on these rules are applied, if any are.
    pub fn apply(&self, rules: Arc<RuleSet>) {
        if let Some(applied) = &mut self.state().rules {
            applied.replace(rules);
        }
    }

    /// Waits until the machine says something after which it can't go on.
    pub async fn fatal(&self) -> Finding {
        let mut progress = self.shared.progress.subscribe();
        let finding = match progress.wait_for(|progress| progress.fatal.is_some()).await {
            Ok(progress) => progress.fatal.clone(),
            Err(_) => None,
        };
        match finding {
            Some(finding) => finding,
            None => std::future::pending().await,
        }
    }

    /// What the machine said after which it can't go on, if it did.
    pub fn fatal_so_far(&self) -> Option<Finding> {
        self.shared.progress.borrow().fatal.clone()
    }

    /// Waits until the last line was read; no longer than `limit`.
    pub async fn closed(&self, limit: Duration) {
        let mut progress = self.shared.progress.subscribe();
        let _ = timeout(limit, progress.wait_for(|progress| progress.closed)).await;
    }

    fn is_closed(&self) -> bool {
        self.shared.progress.borrow().closed
    }

    /// A test begins: from now on it has a log, even if it prints nothing.
    pub fn open_log(&self, test: &str) {
        let mut state = self.state();
        let log = state
            .tests
            .iter_mut()
            .find(|watched| watched.test.test == test);
        let opened = log.map_or(Ok(()), |watched| watched.log.open().map(drop));
        self.shared.report_log_fault(&mut state, opened);
    }

    /// How often the agent has said that the test's unit ended.
    pub fn ends(&self, test: &str) -> usize {
        self.state()
            .tests
            .iter()
            .find(|watched| watched.test.test == test)
            .map_or(0, |watched| watched.ends)
    }

    /// Waits until the agent has said it more than `before` times, so that the test's log is complete; no longer than
    /// `limit`, and not beyond the machine's last line.
    pub async fn ended(&self, test: &str, before: usize, limit: Duration) {
        let _ = timeout(limit, self.until(|| self.ends(test) > before)).await;
        self.shared.flush();
    }

    /// Waits until Ignition has said in the journal why it failed; no longer than `limit`, and not beyond the
    /// machine's last line.
    pub async fn ignition_explained(&self, limit: Duration) {
        let explained = || {
            let state = self.state();
            matches!(state.ignition_journal, Some((weight, _)) if weight > 1)
        };
        let _ = timeout(limit, self.until(explained)).await;
    }

    /// Waits until `reached`, or until the machine's last line was read.
    async fn until(&self, reached: impl Fn() -> bool) {
        let mut progress = self.shared.progress.subscribe();
        // Not inside `wait_for`: that holds the channel's lock, and the reader takes it while it holds the state's.
        while !self.is_closed() && !reached() {
            if progress.changed().await.is_err() {
                return;
            }
        }
    }

    /// Whether any rule matched, be it that findings count in this run or not.
    pub fn found_anything(&self) -> bool {
        self.state().found
    }

    /// Findings so far that don't stop the machine.
    pub fn findings(&self) -> usize {
        self.state().findings.len()
    }

    /// Findings from the given one on.
    pub fn findings_since(&self, first: usize) -> Vec<Finding> {
        self.state()
            .findings
            .get(first..)
            .unwrap_or_default()
            .to_vec()
    }

    /// What a test has printed.
    pub fn output(&self, test: &str) -> String {
        self.log_of(test, TestLog::text).unwrap_or_default()
    }

    /// The last line that a test has printed, if any.
    pub fn last_output(&self, test: &str) -> Option<String> {
        self.log_of(test, |log| sanitise(log.last_line()))
            .filter(|line| !line.is_empty())
    }

    fn log_of<T>(&self, test: &str, read: impl FnOnce(&TestLog) -> T) -> Option<T> {
        let state = self.state();
        let watched = state
            .tests
            .iter()
            .find(|watched| watched.test.test == test)?;
        Some(read(&watched.log))
    }

    /// The last sign of progress in words: the test's last line if it has printed anything, and the console's.
    pub fn last_progress(&self, test: Option<&str>) -> String {
        let console = self.state().console_end().pop().unwrap_or_default();
        let mut parts = Vec::new();
        if let Some(line) = test.and_then(|test| self.last_output(test)) {
            parts.push(format!("last line of the test: \"{line}\""));
        }
        if console.is_empty() {
            parts.push("nothing on the console".to_owned());
        } else {
            parts.push(format!("last line of the console: \"{console}\""));
        }
        parts.join("; ")
    }

    /// The console's last lines, for the output of a test whose machine broke; empty if it never said anything.
    pub fn console_end(&self) -> String {
        let lines = self.state().console_end();
        if lines.is_empty() {
            return String::new();
        }
        format!("--- end of the console ---\n{}\n", lines.join("\n"))
    }

    /// What Ignition itself said was wrong, if it did; the journal knows better than the console.
    pub fn ignition_error(&self) -> Option<String> {
        let state = self.state();
        let best = state
            .ignition_journal
            .as_ref()
            .or(state.ignition_console.as_ref());
        match (best, &state.ignition_fetch) {
            // That alone does not say what went wrong all the time.
            (Some((_, line)), Some(fetch)) if line.ends_with(GAVE_UP) => {
                Some(format!("{line} ({fetch})"))
            }
            (Some((_, line)), _) => Some(line.clone()),
            (None, fetch) => fetch.clone(),
        }
    }

    /// The machine's directory.
    pub fn dir(&self) -> &Path {
        &self.shared.order.dir
    }
}

async fn read(shared: Arc<Shared>, mut lines: mpsc::Receiver<Line>) {
    while let Some(line) = lines.recv().await {
        match line {
            Line::Console(text) => shared.console(&text),
            Line::Journal(entry) => shared.journal(&entry),
        }
    }
    shared.flush();
    shared
        .progress
        .send_modify(|progress| progress.closed = true);
}

/// Ignition's last words when it has tried to fetch something for as long as it is to.
const GAVE_UP: &str = "unable to fetch resource in time";

/// Follows Ignition's attempts to fetch something, which it repeats after errors and answers of 500 and above: `slot` has what went
/// wrong with the last one, unless that went well.
fn follow_fetch(slot: &mut Option<String>, message: &str) {
    if let Some(at) = message.find("GET error: ") {
        *slot = Some(sanitise(&message[at..]));
    } else if let Some(at) = message.find("GET result: ") {
        let result = message[at..].trim_end();
        *slot = (!result.ends_with(": OK")).then(|| sanitise(result));
    }
}

/// How much a line of Ignition says about why it failed; `None` if nothing.
fn ignition_weight(message: &str) -> Option<u8> {
    if message.contains("Ignition failed") {
        Some(3)
    } else if message.contains("CRITICAL") {
        Some(2)
    } else {
        message.contains("failed").then_some(1)
    }
}

fn keep_heaviest(slot: &mut Option<(u8, String)>, message: &str) {
    let Some(weight) = ignition_weight(message) else {
        return;
    };
    if slot
        .as_ref()
        .is_none_or(|(heaviest, _)| weight >= *heaviest)
    {
        *slot = Some((weight, sanitise(message)));
    }
}

impl Shared {
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn console(&self, text: &str) {
        let mut state = self.state();
        if !text.trim().is_empty() {
            if state.console.len() == CONSOLE_END {
                state.console.pop_front();
            }
            let end = text.floor_char_boundary(LONGEST_CONSOLE_LINE);
            state.console.push_back(text[..end].to_owned());
        }
        if text.contains("ignition[") {
            keep_heaviest(&mut state.ignition_console, text);
            follow_fetch(&mut state.ignition_fetch, text);
        }
        self.apply_rules(&mut state, FindingSource::Console, text);
    }

    fn journal(&self, entry: &JournalEntry) {
        let mut state = self.state();
        let identifier = entry.identifier.as_deref().unwrap_or_default();
        let own = state.tests.iter_mut().find(|watched| {
            watched.test.identifier == identifier
                && entry.unit.as_deref() == Some(&watched.test.unit)
        });
        if let Some(watched) = own {
            // What a test prints is the test's business, not a message of the system: no rule looks at it.
            let written = watched.log.push(&entry.message);
            self.report_log_fault(&mut state, written);
            return;
        }
        if identifier == "kolet" {
            let ended = state
                .tests
                .iter_mut()
                .find(|watched| watched.test.end_marker == entry.message);
            if let Some(watched) = ended {
                watched.ends += 1;
                self.progress.send_modify(|progress| progress.news += 1);
                return;
            }
        }
        if identifier == "ignition" {
            keep_heaviest(&mut state.ignition_journal, &entry.message);
            follow_fetch(&mut state.ignition_fetch, &entry.message);
            self.progress.send_modify(|progress| progress.news += 1);
        }
        // The console shows the identifier and the process before the message, and some rules rely on that.
        let pid = entry.pid.unwrap_or_default();
        for line in entry.message.lines() {
            let text = format!("{identifier}[{pid}]: {line}");
            self.apply_rules(&mut state, FindingSource::Journal, &text);
        }
    }

    fn apply_rules(&self, state: &mut State, source: FindingSource, text: &str) {
        let Some(found) = state
            .rules
            .as_mut()
            .and_then(|rules| rules.feed(source, text))
        else {
            return;
        };
        state.found = true;
        self.events.send(EventKind::MachineFinding {
            machine: self.order.machine.clone(),
            owner: self.order.owner.clone(),
            finding: found.finding.clone(),
        });
        let harmless = match (found.warn, self.order.findings_count) {
            (true, _) => Some("only a warning"),
            (_, false) => Some("console rules don't count in this run"),
            _ => None,
        };
        if let Some(harmless) = harmless {
            self.events.warn(format!(
                "{}: {} ({harmless}): {}",
                self.order.owner, found.finding.rule, found.finding.line
            ));
        } else if found.fatal {
            self.progress.send_modify(|progress| {
                progress.fatal.get_or_insert(found.finding);
            });
        } else {
            state.findings.push(found.finding);
        }
    }

    fn flush(&self) {
        let mut state = self.state();
        let mut result = Ok(());
        for watched in &mut state.tests {
            result = result.and(watched.log.flush());
        }
        self.report_log_fault(&mut state, result);
    }

    /// A full disk is worth one warning, not one a line.
    fn report_log_fault(&self, state: &mut State, result: std::io::Result<()>) {
        if let Err(error) = result
            && !state.log_fault_reported
        {
            state.log_fault_reported = true;
            self.events.warn(format!(
                "cannot write the tests' output to {}: {error}; what the reports show of it is complete",
                self.order.dir.display()
            ));
        }
    }
}

#[cfg(test)]
mod tests;
