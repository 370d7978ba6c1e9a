//! The last lines of a run.

use std::fmt::Write as _;
use std::path::Path;

use kolea_model::Verdict;

use super::style::Painter;
use super::templates;
use crate::record::Record;
use crate::{text, words};

/// The verdicts in the order they are counted in.
const WORDS: [&str; 10] = [
    "pass", "fail", "timeout", "infra", "lost", "flaky", "warn", "xfail", "xpass", "skip",
];

/// How many of the slowest tests are named.
const SLOWEST: usize = 3;

/// Counts, what needs attention, the slowest tests, and kola's last line.
pub fn print(out: &mut String, record: &Record, painter: Painter, dir: &Path) {
    let verdicts: Vec<(&str, &Verdict)> = record.verdicts().collect();
    let counts: Vec<String> = WORDS
        .iter()
        .filter_map(|word| {
            let count = verdicts
                .iter()
                .filter(|(_, own)| own.word() == *word)
                .count();
            (count > 0).then(|| format!("{count} {}", painter.word(word)))
        })
        .collect();
    let _infallible = writeln!(
        out,
        "\n{} in {}: {}",
        count(verdicts.len(), "result"),
        text::duration(record.seconds),
        if counts.is_empty() {
            "nothing ran".to_owned()
        } else {
            counts.join(", ")
        }
    );
    templates::summary(out, record, painter);
    for (name, verdict) in &verdicts {
        if verdict.is_bad() || matches!(verdict, Verdict::Flaky { .. } | Verdict::Warn { .. }) {
            // Padded before it is coloured: escape sequences have no width.
            let pad = " ".repeat(8usize.saturating_sub(verdict.word().len()));
            let _infallible = writeln!(
                out,
                "  {}{pad}{}: {}",
                painter.word(verdict.word()),
                text::one_line(name),
                text::one_line(&verdict.reason())
            );
        }
    }
    unexpected(out, record, painter);
    slowest(out, record);
    let result = painter.word(words::result_word(record));
    let dir = dir.to_string_lossy();
    let _infallible = writeln!(out, "{result}, output in {}", text::one_line(&dir));
}

/// Denied tests that passed: the denylist may be out of date, which is the news that they ran for.
fn unexpected(out: &mut String, record: &Record, painter: Painter) {
    let passes: Vec<(&str, &String)> = record
        .verdicts()
        .filter_map(|(name, verdict)| match verdict {
            Verdict::XPass { why } => Some((name, why)),
            _ => None,
        })
        .collect();
    if passes.is_empty() {
        return;
    }
    let _infallible = writeln!(
        out,
        "{} passed: if that lasts, remove {} from the denylist",
        count(passes.len(), "denied test"),
        if passes.len() == 1 { "it" } else { "them" }
    );
    for (name, why) in passes {
        let _infallible = writeln!(
            out,
            "  {}   {}: denied by {}",
            painter.word("xpass"),
            text::one_line(name),
            text::one_line(why)
        );
    }
}

fn slowest(out: &mut String, record: &Record) {
    let mut tests: Vec<_> = record
        .tests
        .iter()
        .filter(|test| !test.attempts.is_empty())
        .collect();
    if tests.len() <= SLOWEST {
        return;
    }
    tests.sort_by(|a, b| b.seconds.total_cmp(&a.seconds).then(a.name.cmp(&b.name)));
    let names: Vec<String> = tests
        .iter()
        .take(SLOWEST)
        .map(|test| {
            format!(
                "{} {}",
                text::one_line(&test.name),
                text::duration(test.seconds)
            )
        })
        .collect();
    let _infallible = writeln!(out, "slowest: {}", names.join(", "));
}

/// A number of things.
pub fn count(number: usize, what: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {what}{plural}")
}
