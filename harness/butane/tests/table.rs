//! The cases of `tests/table/*.case`: Butane configs, and what Butane makes of them.
//!
//! A case is `### what it shows`, the config, and then `=> ignition` with the config it becomes and `=> notes` with a line
//! `SEVERITY LINE:COLUMN PATH PART-OF-THE-MESSAGE` for everything wrong with it. What is not there must not come out.
//! Contents that gzip has compressed stand as `gzip:TEXT`, since no two compressors make the same bytes.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test may panic")]

use std::fmt::Write as _;
use std::io::Read as _;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::read::GzDecoder;
use kolea_butane::{Note, Severity, translate};
use serde_json::Value;

/// How many there are at least: a table that is not found is no success.
const LEAST_CASES: usize = 120;

struct Case<'a> {
    title: &'a str,
    config: String,
    ignition: String,
    notes: Vec<&'a str>,
}

fn cases(text: &str) -> Vec<Case<'_>> {
    let mut cases: Vec<Case<'_>> = Vec::new();
    let mut section = "";
    for line in text.lines() {
        if let Some(title) = line.strip_prefix("### ") {
            cases.push(Case {
                title,
                config: String::new(),
                ignition: String::new(),
                notes: Vec::new(),
            });
            section = "config";
            continue;
        }
        let case = cases
            .last_mut()
            .expect("the file begins with a case's title");
        if let Some(name) = line.strip_prefix("=> ") {
            assert!(["ignition", "notes"].contains(&name), "=> {name}");
            section = name;
            continue;
        }
        match section {
            "config" => writeln!(case.config, "{line}").unwrap(),
            "ignition" => writeln!(case.ignition, "{line}").unwrap(),
            _ if line.is_empty() => {}
            _ => case.notes.push(line),
        }
    }
    cases
}

/// Replaces the sources of compressed contents by their text.
fn decompress(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if map.get("compression").and_then(Value::as_str) == Some("gzip")
                && let Some(source) = map.get_mut("source")
                && let Some(encoded) = source.as_str().unwrap().strip_prefix("data:;base64,")
            {
                let bytes = STANDARD.decode(encoded).unwrap();
                let mut text = String::new();
                GzDecoder::new(&bytes[..])
                    .read_to_string(&mut text)
                    .unwrap();
                *source = Value::String(format!("gzip:{text}"));
            }
            map.values_mut().for_each(decompress);
        }
        Value::Array(list) => list.iter_mut().for_each(decompress),
        _ => {}
    }
}

fn fits(note: &Note, expected: &str) -> bool {
    let mut parts = expected.splitn(4, ' ');
    let mut part = || parts.next().unwrap_or_default();
    let severity = match note.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    part() == severity
        && part() == format!("{}:{}", note.line, note.column)
        && part() == note.path
        && note.message.contains(part())
}

/// What is wrong with a case.
fn fault(case: &Case<'_>, files: &Path) -> Option<String> {
    let translation = translate(&case.config, Some(files));
    let mut fault = String::new();
    let notes = &translation.notes;
    let all_fit = notes.len() == case.notes.len()
        && notes
            .iter()
            .zip(&case.notes)
            .all(|(note, expected)| fits(note, expected));
    if !all_fit {
        writeln!(fault, "notes wanted: {:#?}", case.notes).unwrap();
        for note in notes {
            writeln!(fault, "    {:?} {note}", note.severity).unwrap();
        }
    }
    let mut made: Option<Value> = translation
        .ignition
        .map(|ignition| serde_json::from_str(&ignition).unwrap());
    if let Some(made) = &mut made {
        decompress(made);
    }
    let wanted: Option<Value> = (!case.ignition.is_empty())
        .then(|| serde_json::from_str(&case.ignition).expect("the case has JSON"));
    if made != wanted {
        let show = |value: &Option<Value>| match value {
            Some(value) => format!("{value:#}"),
            None => "none".to_owned(),
        };
        writeln!(fault, "wanted {}\nmade {}", show(&wanted), show(&made)).unwrap();
    }
    (!fault.is_empty()).then_some(fault)
}

#[test]
fn every_case_comes_out_as_butane_has_it() {
    let table = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/table");
    let mut count = 0;
    let mut faults = String::new();
    for entry in table.read_dir().unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        assert_eq!(path.extension().unwrap(), "case", "{}", path.display());
        let text = std::fs::read_to_string(&path).unwrap();
        for case in cases(&text) {
            count += 1;
            assert!(
                !case.ignition.is_empty() || !case.notes.is_empty(),
                "{} expects nothing",
                case.title
            );
            if let Some(fault) = fault(&case, &table.join("files")) {
                let file = path.file_name().unwrap().to_string_lossy();
                writeln!(faults, "--- {file}: {}\n{fault}", case.title).unwrap();
            }
        }
    }
    assert!(faults.is_empty(), "\n{faults}");
    assert!(count >= LEAST_CASES, "only {count} cases");
}
