//! JUnit XML, for Jenkins, GitLab, GitHub actions and whatever else reads it.
//!
//! What the consumers do with it decided the form:
//!
//! - Jenkins's xUnit plugin refuses files that don't follow its `junit-10.xsd`: no properties, timestamps or other
//!   extra attributes on a case, no `skipped` on the root. Facts about the run are properties of the suite; those
//!   about a test are its `group` attribute and the lines starting with `kolea:` in its `system-out`: its verdict, what
//!   each of its machines was (a clone of which template, or booted and why), and what verifying the template showed.
//! - Jenkins's JUnit plugin shows `flakyFailure` and `rerunFailure` by their message and `stackTrace`, and its
//!   attachments plugin takes files from `[[ATTACHMENT|path]]` lines in `system-out`. A guest must not make it take
//!   files of the host, so such a line in a test's own output is defused.
//! - GitLab shows the text of a failure and not its message, so the reason is in both, and groups by class name.
//!
//! | verdict | element |
//! |---|---|
//! | pass, warn, xpass | none; for a warning (kola's CI does not fail for one) and an xpass, `system-out` begins with it |
//! | flaky | `flakyFailure` for each failed attempt |
//! | fail, timeout | `failure`, and `rerunFailure` for each earlier attempt |
//! | infra, lost | `error`, and likewise |
//! | skip, xfail | `skipped`; for an xfail with the text of a failure, and the output in `system-out` |
//!
//! An infrastructure failure that a retry got over is a `flakyError` or `rerunError`. The `type` is the verdict's word.
//! How many denied tests failed as expected, or passed, is in the suite's properties `xfail` and `xpass`.

mod attachments;

use std::fmt::Write as _;
use std::path::Path;
use std::time::Duration;

use kolea_model::Verdict;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus, TestRerun, TestSuite};

use attachments::{attachments, machine_attachments};

use crate::record::{AttemptRecord, GroupRecord, MachineRecord, Record, TestRecord};
use crate::{ReportError, text, words};

/// Lines of output repeated in a failure's text, which is all that GitLab shows at first.
const LINES_IN_TEXT: usize = 30;

/// And at most as many bytes of them.
const BYTES_IN_TEXT: usize = 4 << 10;

/// Endings of file names that say nothing about a test.
const EXTENSIONS: [&str; 4] = ["sh", "bash", "py", "pl"];

/// The run as JUnit XML. `dir` is the output directory that artefacts are in; attachments name it as it is given, so
/// give an absolute one.
pub fn junit(record: &Record, dir: &Path) -> Result<String, ReportError> {
    let mut suite = TestSuite::new(suite_name(record));
    suite.set_time(seconds(record.seconds));
    if let Some(started) = record.started {
        suite.set_timestamp(started);
    }
    for (name, value) in properties(record) {
        suite.add_property((line(name), line(&value)));
    }
    for test in &record.tests {
        suite.add_test_case(test_case(record, test, dir));
    }
    for bucket in record.faulty_groups() {
        suite.add_test_case(bucket_case(record, bucket, dir));
    }
    if !record.warnings.is_empty() {
        suite.set_system_out(guest_text(&record.warnings.join("\n")));
    }
    let mut report = Report::new("kolea");
    report.set_time(seconds(record.seconds));
    report.add_test_suite(suite);
    let mut xml = report.to_string()?;
    // quick-junit writes this attribute on the root, where Jenkins's schema has none. Quotes are escaped inside
    // attributes, so the first match cannot be within the report's name.
    let attribute = format!(" skipped=\"{}\"", report.skipped);
    if let Some(at) = xml.find(&attribute) {
        xml.replace_range(at..at + attribute.len(), "");
    }
    Ok(xml)
}

fn suite_name(record: &Record) -> String {
    ["kolea", &record.run.platform, &record.run.arch]
        .into_iter()
        .filter(|part| !part.is_empty())
        .map(line)
        .collect::<Vec<_>>()
        .join(".")
}

fn properties(record: &Record) -> Vec<(&str, String)> {
    let run = &record.run;
    let mut properties = vec![
        ("version", run.version.clone()),
        ("command", run.command.join(" ")),
        ("platform", run.platform.clone()),
        ("arch", run.arch.clone()),
        ("distro", run.distro.clone()),
        ("jobs", run.jobs.to_string()),
        ("timeout-factor", run.timeout_factor.to_string()),
    ];
    for word in ["xfail", "xpass"] {
        let tests = record.tests.iter();
        let number = tests.filter(|test| test.verdict.word() == word).count();
        if number > 0 {
            properties.push((word, number.to_string()));
        }
    }
    let more = run.properties.iter();
    properties.extend(more.map(|(name, value)| (name.as_str(), value.clone())));
    match (&record.interrupted, record.exit) {
        (Some(signal), _) => properties.push(("interrupted", signal.clone())),
        (None, None) => properties.push(("interrupted", "kolea was killed or crashed".to_owned())),
        (None, Some(_)) => {}
    }
    properties
}

fn test_case(record: &Record, test: &TestRecord, dir: &Path) -> TestCase {
    let (last, earlier) = match test.attempts.split_last() {
        Some((last, earlier)) => (Some(last), earlier),
        None => (None, [].as_slice()),
    };
    let mut status = status(&test.verdict, || detail(record, test));
    status.add_reruns(earlier.iter().map(|attempt| rerun(record, attempt)));
    let mut case = TestCase::new(line(&test.name), status);
    case.set_classname(class_name(&test.name));
    case.set_time(seconds(test.seconds));
    if let Some(group) = &test.group {
        case.extra.insert("group".into(), line(group).into());
    }
    let mut out = String::new();
    match &test.verdict {
        Verdict::Warn { reason } => {
            let _infallible = writeln!(out, "warning: {}", line(reason));
        }
        Verdict::XFail { .. } | Verdict::XPass { .. } => {
            let _infallible = writeln!(out, "{}", line(&message(&test.verdict)));
        }
        _ => {}
    }
    if let Some(last) = last {
        push_lines(&mut out, &last.output);
    }
    facts(&mut out, record, test);
    for attempt in &test.attempts {
        attachments(&mut out, record, attempt, dir);
    }
    if !out.is_empty() {
        case.set_system_out(out);
    }
    case
}

/// A bucket, or a group without tests, whose machine was at fault: no test is to blame, and no test says so.
fn bucket_case(record: &Record, bucket: &GroupRecord, dir: &Path) -> TestCase {
    let machines = || {
        record
            .machines
            .iter()
            .filter(|machine| machine.owner == bucket.name)
    };
    let status = status(&bucket.verdict, || {
        let mut text = guest_text(&bucket.verdict.reason());
        text.push('\n');
        machines().for_each(|machine| describe(&mut text, machine));
        text
    });
    let mut case = TestCase::new(line(&bucket.name), status);
    case.set_classname(line(&bucket.name));
    case.set_time(seconds(bucket.seconds));
    let mut out = String::new();
    for machine in machines() {
        machine_attachments(&mut out, machine, dir);
    }
    if !out.is_empty() {
        case.set_system_out(out);
    }
    case
}

fn status(verdict: &Verdict, detail: impl FnOnce() -> String) -> TestCaseStatus {
    let mut status = match verdict {
        Verdict::Pass | Verdict::Flaky { .. } | Verdict::Warn { .. } | Verdict::XPass { .. } => {
            return TestCaseStatus::success();
        }
        Verdict::Skip { .. } => TestCaseStatus::skipped(),
        Verdict::XFail { .. } => {
            let mut status = TestCaseStatus::skipped();
            status.set_description(detail());
            status
        }
        bad => {
            let mut status = TestCaseStatus::non_success(kind(bad));
            status.set_description(detail());
            status
        }
    };
    status.set_type(verdict.word());
    status.set_message(line(&message(verdict)));
    status
}

/// The reason, which for a denied test that ran begins with what was expected of it.
fn message(verdict: &Verdict) -> String {
    match verdict {
        Verdict::XFail { reason, why } => {
            format!("expected failure: {reason}; denied by {why}")
        }
        Verdict::XPass { why } => format!("unexpected pass: denied by {why}"),
        other => other.reason(),
    }
}

/// Whether the image is at fault (a failure) or something else (an error).
fn kind(verdict: &Verdict) -> NonSuccessKind {
    match verdict {
        Verdict::Infra { .. } | Verdict::Lost { .. } => NonSuccessKind::Error,
        _ => NonSuccessKind::Failure,
    }
}

fn rerun(record: &Record, attempt: &AttemptRecord) -> TestRerun {
    let mut rerun = TestRerun::new(kind(&attempt.verdict));
    let reason = attempt.verdict.reason();
    rerun.set_type(attempt.verdict.word());
    rerun.set_message(line(&reason));
    let mut trace = format!("attempt {}: {}\n", attempt.number, guest_text(&reason));
    for machine in machines_of(record, attempt) {
        describe(&mut trace, machine);
    }
    rerun.set_stack_trace(trace);
    if !attempt.output.is_empty() {
        rerun.set_system_out(guest_text(&attempt.output));
    }
    rerun
}

/// The text of a failure: the reason, what happened on the way, and the end of the output.
fn detail(record: &Record, test: &TestRecord) -> String {
    let mut text = guest_text(&message(&test.verdict));
    text.push('\n');
    let attempts = test.attempts.len();
    for attempt in test.attempts.iter().take(attempts.saturating_sub(1)) {
        let _infallible = writeln!(
            text,
            "attempt {}: {}",
            attempt.number,
            line(&attempt.verdict.reason())
        );
    }
    if let Some(last) = test.attempts.last() {
        for machine in machines_of(record, last) {
            describe(&mut text, machine);
        }
        let (lines, hidden) = text::last_lines(&last.output, LINES_IN_TEXT);
        if hidden > 0 {
            let _infallible = writeln!(text, "[{hidden} lines before these are in system-out]");
        }
        let lines = text::cut_middle(&lines.join("\n"), BYTES_IN_TEXT, Some("system-out"));
        push_lines(&mut text, &lines);
    }
    text
}

/// What is known about a machine, for people who look for the cause of a failure.
fn describe(text: &mut String, machine: &MachineRecord) {
    for finding in &machine.findings {
        let _infallible = writeln!(text, "{}", line(&words::finding(finding)));
    }
    if let Some(exit) = &machine.exit {
        let _infallible = writeln!(text, "{}", line(&format!("machine {}: {exit}", machine.id)));
    }
}

fn facts(out: &mut String, record: &Record, test: &TestRecord) {
    if test.attempts.is_empty() {
        return;
    }
    let _infallible = write!(
        out,
        "kolea: verdict={} attempts={}",
        test.verdict.word(),
        test.attempts.len()
    );
    let machines = test.attempts.iter().flat_map(|attempt| &attempt.machines);
    for machine in machines {
        let _infallible = write!(out, " machine={}", line(machine));
    }
    out.push('\n');
    for machine in test.attempts.iter().flat_map(|a| machines_of(record, a)) {
        let text = format!("machine {}: {}", machine.id, words::origin(&machine.origin));
        let _infallible = writeln!(out, "kolea: {}", line(&text));
    }
    for verified in record.verified.iter().filter(|v| v.test == test.name) {
        let _infallible = writeln!(out, "kolea: {}", line(&words::verified(verified)));
    }
}

fn machines_of<'a>(
    record: &'a Record,
    attempt: &'a AttemptRecord,
) -> impl Iterator<Item = &'a MachineRecord> {
    let machines = attempt.machines.iter();
    machines.filter_map(|machine| record.machine(machine))
}

/// Everything before the last meaningful part of a test's name, so that tests of one tree stand together.
fn class_name(test: &str) -> String {
    let mut parts: Vec<&str> = test.split('.').collect();
    if parts.len() > 2 && parts.last().is_some_and(|last| EXTENSIONS.contains(last)) {
        parts.pop();
    }
    parts.pop();
    let class = line(&parts.join("."));
    if class.is_empty() {
        "kolea".to_owned()
    } else {
        class
    }
}

fn push_lines(out: &mut String, text: &str) {
    out.push_str(&guest_text(text));
    if !out.is_empty() && !out.ends_with('\n') {
        out.push('\n');
    }
}

/// Text that a guest may have written, without what XML or Jenkins would take for something else.
fn guest_text(text: &str) -> String {
    text::clean(text).replace("[[ATTACHMENT|", "[ [ATTACHMENT|")
}

/// The same on one line, for attributes.
fn line(text: &str) -> String {
    guest_text(&text::one_line(text))
}

/// A number of seconds; none if it is no sensible number.
fn seconds(seconds: f64) -> Duration {
    Duration::try_from_secs_f64(seconds).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_class_is_the_tree_a_test_is_in() {
        assert_eq!(class_name("ext.core.reboot"), "ext.core");
        assert_eq!(class_name("ext.core.net.dns.sh"), "ext.core.net");
        assert_eq!(class_name("ext.sh"), "ext");
        assert_eq!(class_name("basic"), "kolea");
        assert_eq!(class_name(""), "kolea");
    }

    #[test]
    fn a_guest_cannot_attach_files_of_the_host() {
        let text = guest_text("a\n[[ATTACHMENT|/etc/shadow]]\n[[[ATTACHMENT|/x]]");
        assert!(!text.contains("[[ATTACHMENT|"), "{text}");
        assert!(!guest_text("[[ATTA\0CHMENT|/x]]").contains("[[ATTACHMENT|"));
    }
}
