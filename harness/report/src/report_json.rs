//! `reports/report.json` in kola's schema (coreos-assembler, `mantle/harness/reporters/json.go`), on one line.
//!
//! Each bucket is an entry whose `subtests` are the names of its members' entries; a group without tests (in which a
//! template is made or verified) is one if its machine was at fault. Readers of kola's file ignore the
//! keys added at the end of each entry, `verdict` and `reason`. Tests that were left out before the run have no entry
//! in `tests`, as in kola: `kola-junit` looks for the output directory of whatever is listed. They are in `skipped`.

use std::time::Duration;

use serde::Serialize;

use crate::record::Record;
use crate::{ReportError, text, words};

#[derive(Serialize)]
struct Report<'a> {
    tests: Vec<Entry<'a>>,
    result: &'static str,
    platform: &'a str,
    version: &'a str,
    /// The tests that were asked for and left out.
    skipped: Vec<LeftOut<'a>>,
}

#[derive(Serialize)]
struct LeftOut<'a> {
    name: &'a str,
    reason: String,
}

#[derive(Serialize)]
struct Entry<'a> {
    name: String,
    /// `null` for a test without members, as Go writes an empty slice.
    subtests: Option<Vec<String>>,
    result: &'static str,
    /// Nanoseconds.
    duration: u64,
    output: &'a str,
    verdict: &'static str,
    reason: String,
}

/// The run as kola's report.json.
pub fn report_json(record: &Record) -> Result<String, ReportError> {
    let tests = record.tests.iter().filter(|test| !test.was_left_out());
    let mut entries: Vec<Entry<'_>> = tests
        .map(|test| Entry {
            name: test.kola_name(record.bucket_of(test)),
            subtests: None,
            result: words::kola_word(&test.verdict),
            duration: nanoseconds(test.seconds),
            output: test.output(),
            verdict: test.verdict.word(),
            reason: text::one_line(&test.verdict.reason()),
        })
        .collect();
    entries.extend(record.buckets().map(|bucket| {
        Entry {
            name: bucket.name.clone(),
            subtests: Some(
                record
                    .members(bucket)
                    .map(|test| test.kola_name(Some(bucket)))
                    .collect(),
            ),
            result: words::bucket_word(record, bucket),
            duration: nanoseconds(bucket.seconds),
            output: "",
            verdict: bucket.verdict.word(),
            reason: text::one_line(&bucket.verdict.reason()),
        }
    }));
    let others = record.faulty_groups().filter(|group| !group.shared);
    entries.extend(others.map(|group| Entry {
        name: group.name.clone(),
        subtests: None,
        result: words::kola_word(&group.verdict),
        duration: nanoseconds(group.seconds),
        output: "",
        verdict: group.verdict.word(),
        reason: text::one_line(&group.verdict.reason()),
    }));
    let report = Report {
        tests: entries,
        result: words::result_word(record),
        platform: &record.run.platform,
        version: &record.run.version,
        skipped: record
            .tests
            .iter()
            .filter(|test| test.was_left_out())
            .map(|test| LeftOut {
                name: &test.name,
                reason: text::one_line(&test.verdict.reason()),
            })
            .collect(),
    };
    let mut json = serde_json::to_string(&report)?;
    json.push('\n');
    Ok(json)
}

fn nanoseconds(seconds: f64) -> u64 {
    let duration = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
