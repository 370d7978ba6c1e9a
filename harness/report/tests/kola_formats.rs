//! TAP and report.json: what scripts written for kola read.

// Helpers outside of #[test] functions are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::runs;
use kolea_model::Event;
use kolea_report::{Record, report_json, tap};
use serde_json::{Value, json};

fn tap_of(events: &[Event]) -> String {
    tap(&Record::from_events(events))
}

fn json_of(events: &[Event]) -> Value {
    let text = report_json(&Record::from_events(events)).unwrap();
    assert_eq!(text.matches('\n').count(), 1, "one line");
    serde_json::from_str(&text).unwrap()
}

/// Name and result of each entry.
fn results(report: &Value) -> Vec<(String, String)> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let tests = report["tests"].as_array().unwrap();
    tests
        .iter()
        .map(|test| (text(&test["name"]), text(&test["result"])))
        .collect()
}

#[test]
fn tap_has_kolas_lines() {
    insta::assert_snapshot!("tap_bucket", tap_of(&runs::bucket()));
    insta::assert_snapshot!("tap_skips", tap_of(&runs::skips()));
    insta::assert_snapshot!("tap_flaky", tap_of(&runs::flaky()));
    insta::assert_snapshot!("tap_warn", tap_of(&runs::warn()));
    insta::assert_snapshot!("tap_denied", tap_of(&runs::denied()));
    insta::assert_snapshot!("tap_denied_bucket", tap_of(&runs::denied_bucket()));
    insta::assert_snapshot!("tap_hostile", tap_of(&runs::hostile()));
    insta::assert_snapshot!("tap_template_fault", tap_of(&runs::template_fault()));
    insta::assert_snapshot!("tap_crashed", tap_of(&runs::crashed()));
}

#[test]
fn every_plan_counts_its_lines() {
    for (name, events) in runs::all() {
        let tap = tap_of(&events);
        let plan = tap.lines().next().unwrap().strip_prefix("1..").unwrap();
        let lines = tap.lines().skip(1);
        let tests = lines.filter(|line| line.starts_with("ok - ") || line.starts_with("not ok - "));
        assert_eq!(plan.parse(), Ok(tests.count()), "{name}");
    }
}

#[test]
fn report_json_has_kolas_keys_in_kolas_order() {
    let text = report_json(&Record::from_events(&runs::failure())).unwrap();
    assert!(text.starts_with(r#"{"tests":[{"name":"ext.core.a","subtests":null,"result":"FAIL","duration":12345000000,"output":"line 1\n"#), "{text}");
    assert!(text.ends_with("\"verdict\":\"fail\",\"reason\":\"exit status 1: line 40\"}],\"result\":\"FAIL\",\"platform\":\"qemu\",\"version\":\"0.1.0\",\"skipped\":[]}\n"), "{text}");
}

#[test]
fn verdicts_become_kolas_words() {
    for (events, test, run) in [
        (runs::all_pass(), "PASS", "PASS"),
        (runs::flaky(), "PASS", "PASS"),
        (runs::infra_then_pass(), "PASS", "PASS"),
        (runs::warn(), "WARN", "PASS"),
        (runs::timeout(), "FAIL", "FAIL"),
        (runs::infra(), "FAIL", "FAIL"),
    ] {
        let report = json_of(&events);
        assert_eq!(report["tests"][0]["result"], test, "{report}");
        assert_eq!(report["result"], run, "{report}");
    }
}

#[test]
fn a_bucket_is_the_parent_of_its_members() {
    let report = json_of(&runs::bucket_machine_fault());
    assert_eq!(
        report["tests"][1]["subtests"],
        json!(["non-exclusive-test-bucket-0/ext.core.a"])
    );
    let pair = |name: &str, result: &str| (name.to_owned(), result.to_owned());
    assert_eq!(
        results(&report),
        [
            pair("non-exclusive-test-bucket-0/ext.core.a", "PASS"),
            pair("non-exclusive-test-bucket-0", "FAIL")
        ]
    );
    assert_eq!(report["tests"][1]["reason"], "console: kernel oops");
}

#[test]
fn groups_without_tests_are_told_of_only_if_their_machines_are_at_fault() {
    let pair = |name: &str, result: &str| (name.to_owned(), result.to_owned());
    let passes = ["ext.core.a", "ext.core.b", "ext.core.tpm", "ext.core.boot"];
    assert_eq!(
        results(&json_of(&runs::clones())),
        passes.map(|name| pair(name, "PASS"))
    );
    assert!(tap_of(&runs::clones()).starts_with("1..4\n"));
    let report = json_of(&runs::template_fault());
    assert_eq!(
        results(&report),
        [pair("ext.core.a", "PASS"), pair("template/default", "FAIL")]
    );
    assert_eq!(report["result"], "FAIL");
}

#[test]
fn tests_left_out_before_the_run_have_no_entry_and_those_that_skip_have_one() {
    let report = json_of(&runs::skips());
    assert_eq!(
        results(&report),
        [("ext.core.soft".to_owned(), "SKIP".to_owned())]
    );
    assert_eq!(report["tests"][0]["output"], "needs systemd 254\n");
}

#[test]
fn denied_tests_that_ran_are_warnings_and_passes() {
    let report = json_of(&runs::denied());
    let pair = |name: &str, result: &str| (name.to_owned(), result.to_owned());
    // Those that were left out have no entry.
    assert_eq!(
        results(&report),
        [
            pair("ext.core.broken", "WARN"),
            pair("ext.core.mended", "PASS")
        ]
    );
    assert_eq!(report["result"], "PASS");
    let (broken, mended) = (&report["tests"][0], &report["tests"][1]);
    assert_eq!(
        (&broken["verdict"], &mended["verdict"]),
        (&json!("xfail"), &json!("xpass"))
    );
    assert_eq!(broken["output"], "ping: no route\n");
    for test in [broken, mended] {
        let reason = test["reason"].as_str().unwrap();
        assert!(reason.contains("https://example.com/issues/7"), "{reason}");
    }
    let report = json_of(&runs::denied_bucket());
    let bucket = "non-exclusive-test-bucket-0";
    assert_eq!(
        results(&report),
        [
            pair(&format!("{bucket}/ext.core.a"), "PASS"),
            pair(&format!("{bucket}/ext.core.broken"), "WARN"),
            pair(bucket, "PASS")
        ]
    );
}

#[test]
fn a_crashed_run_fails_and_an_empty_one_does_not_pass() {
    let report = json_of(&runs::crashed());
    assert_eq!(report["result"], "FAIL");
    assert_eq!(
        results(&report)
            .iter()
            .filter(|(_, result)| result == "FAIL")
            .count(),
        5
    );
    assert_eq!(json_of(&[])["result"], "FAIL");
}
