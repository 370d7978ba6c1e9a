//! What failed in the last run, from `reports/report.json`, which may be kola's, or from `events.jsonl` if the run broke off
//! before there was a report.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use anyhow::{Context, anyhow};
use kolea_model::is_bucket_name;
use kolea_report::TestRecord;
use serde::Deserialize;

use crate::cmd::Failure;
use crate::settings::Output;
use crate::sink::EVENTS_FILE;

/// kola's report in an output directory.
const REPORT: &str = "reports/report.json";

/// A run that is over.
#[derive(Debug)]
pub struct LastRun {
    /// Its output directory.
    pub dir: PathBuf,
    /// The names of the tests that failed, sorted.
    pub failed: Vec<String>,
}

/// The run in the directory that was named; or else the one where cosa has kola put it, or the newest that a link points to.
pub fn find(output: &Output) -> Result<LastRun, Failure> {
    let dir = match &output.dir {
        Some(dir) => dir.clone(),
        None if holds_run(&output.parent) => output.parent.clone(),
        None => newest(&output.parent).ok_or_else(|| {
            Failure::usage(anyhow!(
                "there is no run to repeat: {} holds none; name its output directory by --output-dir",
                output.parent.display()
            ))
        })?,
    };
    let failed = if dir.join(REPORT).exists() {
        from_report(&dir.join(REPORT)).map_err(Failure::usage)?
    } else if dir.join(EVENTS_FILE).exists() {
        from_events(&dir.join(EVENTS_FILE))?
    } else {
        return Err(Failure::usage(anyhow!(
            "there is no run to repeat in {}: it has neither {REPORT} nor {EVENTS_FILE}",
            dir.display()
        )));
    };
    Ok(LastRun {
        dir,
        failed: failed.into_iter().collect(),
    })
}

fn holds_run(dir: &Path) -> bool {
    dir.join(REPORT).exists() || dir.join(EVENTS_FILE).exists()
}

fn newest(parent: &Path) -> Option<PathBuf> {
    let links = fs::read_dir(parent).ok()?.flatten();
    let modified = |dir: &Path| -> Option<SystemTime> { dir.metadata().ok()?.modified().ok() };
    links
        .filter(|entry| entry.file_name().to_string_lossy().ends_with("-latest"))
        .map(|entry| entry.path())
        .filter(|dir| holds_run(dir))
        .max_by_key(|dir| modified(dir))
}

#[derive(Deserialize)]
struct Report {
    tests: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    name: String,
    #[serde(default)]
    subtests: Option<Vec<String>>,
    result: String,
}

fn from_report(path: &Path) -> anyhow::Result<BTreeSet<String>> {
    let text =
        fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?;
    let report: Report = serde_json::from_str(&text)
        .with_context(|| format!("{} is no report of a run", path.display()))?;
    Ok(failed(&report))
}

fn failed(report: &Report) -> BTreeSet<String> {
    let mut failed = BTreeSet::new();
    let bad = report.tests.iter().filter(|entry| entry.result == "FAIL");
    for entry in bad {
        match entry.name.split_once('/') {
            // A member of a bucket has a name of its own; any other subtest is a part of its test, which failed too.
            Some((parent, member)) if is_bucket_name(parent) => {
                failed.insert(member.to_owned());
            }
            Some(_) => {}
            None if is_bucket_name(&entry.name) => {
                let members = entry.subtests.iter().flatten();
                let own = |member: &String| report.tests.iter().find(|test| &test.name == member);
                let bad = |member: &&String| own(member).is_none_or(|test| test.result == "FAIL");
                let blamed: Vec<&String> = members.clone().filter(bad).collect();
                // If no member is to blame, the machine is, and nothing is known of any.
                let again = if blamed.is_empty() {
                    members.collect()
                } else {
                    blamed
                };
                for member in again {
                    let name = member
                        .split_once('/')
                        .map_or(member.as_str(), |(_, name)| name);
                    failed.insert(name.to_owned());
                }
            }
            None => {
                failed.insert(entry.name.clone());
            }
        }
    }
    failed
}

fn from_events(path: &Path) -> Result<BTreeSet<String>, Failure> {
    let (record, _) = kolea_report::read_record(path).map_err(Failure::usage)?;
    let bad = |test: &&TestRecord| test.verdict.is_bad();
    let mut failed: Vec<&TestRecord> = record.tests.iter().filter(bad).collect();
    for bucket in record.buckets().filter(|bucket| bucket.verdict.is_bad()) {
        if !record.members(bucket).any(|test| bad(&test)) {
            failed.extend(record.members(bucket));
        }
    }
    Ok(failed.into_iter().map(|test| test.name.clone()).collect())
}

#[cfg(test)]
#[path = "last_tests.rs"]
mod tests;
