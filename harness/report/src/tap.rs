//! TAP as kola writes it: `1..N`, then `ok - name`, `not ok - name` or `ok - name # SKIP`, without numbers
//! (<https://testanything.org/tap-version-14-specification.html> makes them optional).
//!
//! One line for each test and one for each bucket, as in report.json, and one for each group without tests (in which a
//! template is made or verified) whose machine was at fault; members of a bucket are
//! `non-exclusive-test-bucket-0/ext.core.a`. kola leaves members out. Reasons are comment lines after the test, which
//! every reader skips; kola's `ok` for a warning is kept.

use std::fmt::Write as _;

use crate::record::Record;
use crate::{text, words};

/// The run as TAP.
pub fn tap(record: &Record) -> String {
    let mut lines = 0usize;
    let mut body = String::new();
    let mut line = |name: &str, word: &str, reason: &str| {
        lines += 1;
        let name = escape(name);
        let result = if word == "FAIL" { "not ok" } else { "ok" };
        let _infallible = match (word, reason.is_empty()) {
            ("SKIP", true) => writeln!(body, "{result} - {name} # SKIP"),
            ("SKIP", false) => writeln!(body, "{result} - {name} # SKIP {reason}"),
            (_, true) => writeln!(body, "{result} - {name}"),
            (_, false) => writeln!(body, "{result} - {name}\n# {reason}"),
        };
    };
    for test in &record.tests {
        let name = test.kola_name(record.bucket_of(test));
        let word = words::kola_word(&test.verdict);
        line(&name, word, &words::reason(&test.verdict));
    }
    for bucket in record.buckets() {
        let word = words::bucket_word(record, bucket);
        line(&bucket.name, word, &words::reason(&bucket.verdict));
    }
    for group in record.faulty_groups().filter(|group| !group.shared) {
        let word = words::kola_word(&group.verdict);
        line(&group.name, word, &words::reason(&group.verdict));
    }
    format!("1..{lines}\n{body}")
}

/// A `#` would begin a directive, and a backslash would escape what follows.
fn escape(name: &str) -> String {
    text::one_line(name)
        .replace('\\', "\\\\")
        .replace('#', "\\#")
}
