//! `kolea lint`: what it prints in which format, and what it exits with.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{kolea, repository, texts, write_file, write_test};

/// Runs `kolea lint` in a directory: the exit status, and standard output.
fn lint(dir: &Path, arguments: &[&str]) -> (Option<i32>, String) {
    let output = kolea()
        .arg("lint")
        .args(arguments)
        .current_dir(dir)
        .output()
        .unwrap();
    let (stdout, stderr) = texts(&output);
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), format!("{stdout}{stderr}"))
}

#[test]
fn the_shipped_tests_are_clean() {
    let (status, text) = lint(&repository(), &["tests-external/core", "--deny-warnings"]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.ends_with(": 0 errors, 0 warnings\n"), "{text}");
}

#[test]
fn the_broken_tests_are_not() {
    let (status, text) = lint(&repository(), &["tests-external/broken"]);
    assert_eq!(status, Some(1), "{text}");
    let (problems, count) = text.trim_end().rsplit_once('\n').unwrap();
    assert!(
        problems
            .lines()
            .all(|line| line.starts_with("tests-external/broken/tests/kola/"))
    );
    assert!(count.contains(" errors, "), "{count}");

    let (status, text) = lint(
        &repository(),
        &["tests-external/broken", "--format", "json"],
    );
    assert_eq!(status, Some(1));
    let report: Value = serde_json::from_str(&text).unwrap();
    let listed = report["problems"].as_array().unwrap();
    assert_eq!(listed.len(), problems.lines().count());
    assert!(
        listed
            .iter()
            .any(|problem| problem["line"].is_u64() && problem["column"].is_u64())
    );

    let (_, text) = lint(
        &repository(),
        &["tests-external/broken", "--format", "github"],
    );
    assert_eq!(text.lines().count(), listed.len());
    let known =
        |line: &str| line.starts_with("::error file=") || line.starts_with("::warning file=");
    assert!(text.lines().all(known), "{text}");
}

#[test]
fn warnings_count_only_if_they_are_asked_to() {
    let root = tempfile::tempdir().unwrap();
    write_test(root.path(), "a", "", "true");
    write_file(root.path(), "forgotten", "#!/bin/sh\n");
    let (status, text) = lint(root.path(), &[]);
    assert_eq!(status, Some(0), "{text}");
    assert!(text.contains("tests/kola/forgotten: warning: "), "{text}");
    assert_eq!(lint(root.path(), &["--deny-warnings"]).0, Some(1));
    assert_eq!(
        lint(&root.path().join("tests/kola"), &["--deny-warnings"]).0,
        Some(1)
    );
}

#[test]
fn a_directory_without_tests_is_an_error() {
    let root = tempfile::tempdir().unwrap();
    let (status, text) = lint(root.path(), &[]);
    assert_eq!(status, Some(2));
    assert!(
        text.contains("neither tests/kola nor src/config/tests/kola"),
        "{text}"
    );
    let (status, text) = lint(root.path(), &["missing"]);
    assert_eq!(status, Some(2));
    assert!(text.contains("cannot read test tree missing"), "{text}");
}

#[test]
fn the_schema_is_the_documented_one() {
    let (status, text) = lint(&repository(), &["--print-schema"]);
    assert_eq!(status, Some(0));
    let documented = std::fs::read_to_string(repository().join("docs/metadata.schema.json"));
    assert_eq!(text, documented.unwrap());
}
