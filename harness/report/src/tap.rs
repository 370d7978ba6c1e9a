//! TAP as kola writes it: `1..N`, then `ok - name`, `not ok - name` or `ok - name # SKIP`, without numbers
//! (<https://testanything.org/tap-version-14-specification.html> makes them optional).
//!
//! One line for each test and one for each bucket, as in report.json, and one for each group without tests (in which a
//! template is made or verified) whose machine was at fault; members of a bucket are
//! `non-exclusive-test-bucket-0/ext.core.a`. kola leaves members out. Reasons are comment lines after the test, which
//! every reader skips; kola's `ok` for a warning is kept. A denied test that ran has the directive `# TODO` with why it
//! is denied: as `not ok` it failed and counts as no failure, as `ok` it passed unexpectedly.

use kolea_model::Verdict;

use crate::record::Record;
use crate::{text, words};

/// The run as TAP.
pub fn tap(record: &Record) -> String {
    let tests = record.tests.iter().map(|test| {
        let name = test.kola_name(record.bucket_of(test));
        match &test.verdict {
            Verdict::XFail { reason, why } => {
                let todo = format!(" # TODO {}{}", text::one_line(why), comment(reason));
                point(false, &name, &todo)
            }
            Verdict::XPass { why } => {
                point(true, &name, &format!(" # TODO {}", text::one_line(why)))
            }
            verdict => {
                let word = words::kola_word(verdict);
                plain(&name, word, &words::reason(verdict))
            }
        }
    });
    let buckets = record.buckets().map(|bucket| {
        let word = words::bucket_word(record, bucket);
        plain(&bucket.name, word, &words::reason(&bucket.verdict))
    });
    let others = record.faulty_groups().filter(|group| !group.shared);
    let others = others.map(|group| {
        let word = words::kola_word(&group.verdict);
        plain(&group.name, word, &words::reason(&group.verdict))
    });
    let points: Vec<String> = tests.chain(buckets).chain(others).collect();
    format!("1..{}\n{}", points.len(), points.concat())
}

fn plain(name: &str, word: &str, reason: &str) -> String {
    match word {
        "SKIP" => point(true, name, format!(" # SKIP {reason}").trim_end()),
        "FAIL" => point(false, name, &comment(reason)),
        _ => point(true, name, &comment(reason)),
    }
}

fn point(ok: bool, name: &str, rest: &str) -> String {
    let result = if ok { "ok" } else { "not ok" };
    format!("{result} - {}{rest}\n", escape(name))
}

fn comment(reason: &str) -> String {
    match text::one_line(reason) {
        reason if reason.is_empty() => reason,
        reason => format!("\n# {reason}"),
    }
}

/// A `#` would begin a directive, and a backslash would escape what follows.
fn escape(name: &str) -> String {
    text::one_line(name)
        .replace('\\', "\\\\")
        .replace('#', "\\#")
}
