//! The lines, as text: a function of the events.

use std::collections::{HashMap, HashSet};
use std::fmt::Write as _;

use kolea_model::{Event, EventKind, Plan, RunInfo, Verdict};

use super::TerminalOptions;
use super::style::Painter;
use super::{summary, templates};
use crate::record::{Fold, Limits, Record};
use crate::{text, words};

/// Lines of a failed test's output that are printed.
const OUTPUT_LINES: usize = 15;

/// What is kept of an attempt's output until its test's verdict is known, in bytes.
const TAIL: usize = 16 << 10;

pub(super) struct Plain {
    options: TerminalOptions,
    painter: Painter,
    fold: Fold,
    /// By test: the end of what its last attempt printed, and where the rest is.
    tails: HashMap<String, (String, String)>,
    printed: HashSet<String>,
    finished: bool,
}

impl Plain {
    pub(super) fn new(options: TerminalOptions) -> Plain {
        let painter = Painter {
            color: options.color,
        };
        Plain {
            options,
            painter,
            fold: Fold::new(Limits::NOTHING),
            tails: HashMap::new(),
            printed: HashSet::new(),
            finished: false,
        }
    }

    pub(super) fn is_finished(&self) -> bool {
        self.finished
    }

    /// What to print for an event.
    pub(super) fn event(&mut self, event: &Event) -> String {
        self.fold.push(event);
        let mut out = String::new();
        match &event.kind {
            EventKind::RunStarted { run, plan } => header(&mut out, run, plan),
            EventKind::TestSkipped { test, verdict } => self.result(&mut out, test, verdict, 0.0),
            EventKind::DistroDetected { distro, from } => {
                let (distro, from) = (text::one_line(distro), text::one_line(from));
                let _infallible = writeln!(out, "distribution: {distro} ({from})");
            }
            EventKind::GroupStarted { group, shared } if *shared && self.options.run_lines => {
                let _infallible = writeln!(out, "=== RUN   {}", text::one_line(group));
            }
            EventKind::TestStarted { test, attempt, .. } if self.options.run_lines => {
                let name = self.name(test);
                let _infallible = match attempt {
                    1 => writeln!(out, "=== RUN   {name}"),
                    more => writeln!(out, "=== RUN   {name} (attempt {more})"),
                };
            }
            EventKind::MachineFinding { owner, finding, .. } => {
                let found = text::one_line(&words::finding(finding));
                let _infallible = writeln!(out, "    {}: {found}", self.name(owner));
            }
            EventKind::AttemptFinished {
                test,
                verdict,
                output,
                artifacts,
                retry,
                ..
            } => {
                if let Some(retry) = retry {
                    let _infallible = writeln!(
                        out,
                        "=== RETRY {}: {}; again because: {}",
                        self.name(test),
                        text::one_line(&verdict.reason()),
                        text::one_line(retry)
                    );
                } else if words::has_failed(verdict) {
                    let tail =
                        output[text::ceil(output, output.len().saturating_sub(TAIL))..].to_owned();
                    let log = crate::record::log_of(artifacts, test);
                    let log = log.map(|log| self.options.output_dir.join(log));
                    let log = log.map(|log| log.to_string_lossy().into_owned());
                    self.tails
                        .insert(test.clone(), (tail, log.unwrap_or_default()));
                }
            }
            EventKind::TestFinished {
                test,
                verdict,
                seconds,
                ..
            } => self.result(&mut out, test, verdict, *seconds),
            EventKind::GroupFinished { group, .. } => self.bucket(&mut out, group),
            EventKind::TemplateReady { template, .. }
            | EventKind::TemplateFailed { template, .. } => {
                templates::line(&mut out, self.fold.so_far(), template, self.painter);
            }
            EventKind::TemplateVerified { same: false, .. } => {
                if let Some(verified) = self.fold.so_far().verified.last() {
                    templates::difference(&mut out, verified, self.painter);
                }
            }
            EventKind::Interrupted { signal } => {
                let _infallible = writeln!(
                    out,
                    "interrupted by {}: no more tests are started; once more stops everything at once",
                    text::one_line(signal)
                );
            }
            EventKind::Warning { message } => {
                let _infallible = writeln!(out, "warning: {}", text::one_line(message));
            }
            EventKind::RunFinished { .. } => out = self.finish(),
            _ => {}
        }
        out
    }

    /// What to print when no more events follow.
    pub(super) fn finish(&mut self) -> String {
        let mut out = String::new();
        if std::mem::replace(&mut self.finished, true) {
            return out;
        }
        let record = std::mem::take(&mut self.fold).finish();
        for test in &record.tests {
            if !self.printed.contains(&test.name) {
                let name = text::one_line(&test.kola_name(record.bucket_of(test)));
                self.lines(&mut out, &test.name, &name, &test.verdict, test.seconds);
            }
        }
        for bucket in record.buckets() {
            if !self.printed.contains(&bucket.name) {
                self.bucket_line(&mut out, &record, &bucket.name);
            }
        }
        summary::print(&mut out, &record, self.painter, &self.options.output_dir);
        out
    }

    fn name(&self, test: &str) -> String {
        text::one_line(&self.fold.kola_name(test))
    }

    fn result(&mut self, out: &mut String, test: &str, verdict: &Verdict, seconds: f64) {
        self.printed.insert(test.to_owned());
        let name = self.name(test);
        self.lines(out, test, &name, verdict, seconds);
    }

    /// The result of a bucket; of a group without tests only if its machine was at fault, without making a test of it.
    fn bucket(&mut self, out: &mut String, name: &str) {
        let record = self.fold.so_far();
        let Some(group) = record.group(name) else {
            return;
        };
        if group.shared {
            self.printed.insert(name.to_owned());
            self.bucket_line(out, record, name);
        } else if group.is_auxiliary() && group.has_own_verdict() {
            let _infallible = writeln!(
                out,
                "{}: {}",
                text::one_line(name),
                words::reason(&group.verdict)
            );
        }
    }

    /// The line of a test, the reason if there is one, and the end of its output if it failed.
    fn lines(&mut self, out: &mut String, test: &str, name: &str, verdict: &Verdict, seconds: f64) {
        self.line(out, words::kola_word(verdict), name, seconds);
        if *verdict == Verdict::Pass {
            return;
        }
        let _infallible = writeln!(out, "    {}", words::reason(verdict));
        let Some((tail, log)) = self.tails.remove(test) else {
            return;
        };
        let tail = text::clean(&tail);
        let (lines, hidden) = text::last_lines(&tail, OUTPUT_LINES);
        if hidden > 0 && !log.is_empty() {
            let _infallible = writeln!(out, "    the end of {}:", text::one_line(&log));
        }
        for line in lines {
            let _infallible = writeln!(
                out,
                "        {}",
                text::cut_middle(line, 1000, None).replace('\n', " ")
            );
        }
    }

    fn bucket_line(&self, out: &mut String, record: &Record, name: &str) {
        let Some(bucket) = record.group(name) else {
            return;
        };
        let word = words::bucket_word(record, bucket);
        self.line(out, word, &text::one_line(name), bucket.seconds);
        if bucket.has_own_verdict() {
            let reason = words::reason(&bucket.verdict);
            let _infallible = writeln!(out, "    {reason}");
        }
    }

    fn line(&self, out: &mut String, word: &str, name: &str, seconds: f64) {
        let word = self.painter.word(word);
        let _infallible = writeln!(out, "--- {word}: {name} ({seconds:.2}s)");
    }
}

fn header(out: &mut String, run: &RunInfo, plan: &Plan) {
    let tests: usize = plan.groups.iter().map(|group| group.tests.len()).sum();
    let templates = match plan.templates.len() {
        0 => String::new(),
        number => format!(", {}", summary::count(number, "template")),
    };
    let _infallible = writeln!(
        out,
        "kolea {}: {}, {}{templates}, {} at a time ({} {} {})",
        text::one_line(&run.version),
        summary::count(tests, "test"),
        summary::count(plan.groups.len(), "machine"),
        run.jobs,
        text::one_line(&run.distro),
        text::one_line(&run.platform),
        text::one_line(&run.arch),
    );
    // Which accelerator was chosen, and why, decides how long everything takes.
    for (name, value) in &run.properties {
        if name.starts_with("accel") {
            let _infallible = writeln!(out, "{}: {}", text::one_line(name), text::one_line(value));
        }
    }
}
