//! JUnit: every kind of run is valid for Jenkins and can be read back, whatever the guests printed.

// Helpers outside of #[test] functions are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use common::{Stream, fail, runs};
use kolea_model::{Event, EventKind, ExitCode, Verdict};
use kolea_report::{Record, junit};
use proptest::prelude::*;
use quick_junit::{NonSuccessKind, Report, TestCase, TestCaseStatus};

fn make(events: &[Event]) -> String {
    junit(&Record::from_events(events), Path::new("/out")).unwrap()
}

fn parse(xml: &str) -> Report {
    Report::deserialize_from_str(xml).unwrap_or_else(|error| panic!("{error}:\n{xml}"))
}

fn case(xml: &str) -> TestCase {
    parse(xml).test_suites[0].test_cases[0].clone()
}

/// Check against the schema that Jenkins's xUnit plugin refuses files with.
fn validate(xml: &str) -> Result<(), String> {
    let schema = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/jenkins-junit.xsd");
    let mut lint = Command::new("xmllint")
        .args(["--noout", "--huge", "--schema", schema, "-"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("cannot run xmllint, which checks the JUnit reports: install libxml2-utils (ci/setup --dev)");
    lint.stdin
        .take()
        .unwrap()
        .write_all(xml.as_bytes())
        .unwrap();
    let output = lint.wait_with_output().unwrap();
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).into_owned())
    }
}

#[test]
fn every_run_is_valid_for_jenkins() {
    for (name, events) in runs::all() {
        let xml = make(&events);
        validate(&xml).unwrap_or_else(|error| panic!("{name}: {error}\n{xml}"));
        parse(&xml);
    }
}

#[test]
fn the_schema_finds_what_jenkins_would_refuse() {
    let xml = make(&runs::flaky());
    for (good, bad) in [
        ("<testcase ", "<testcase timestamp=\"x\" "),
        ("<testsuites ", "<testsuites skipped=\"0\" "),
        (" type=\"fail\"", ""),
        ("<testcase name=\"ext.core.a\"", "<testcase"),
        ("</stackTrace>", "</stackTrace><stackTrace/>"),
    ] {
        assert!(xml.contains(good), "{good}");
        assert!(validate(&xml.replace(good, bad)).is_err(), "{bad}");
    }
}

#[test]
fn reports_look_like_this() {
    insta::assert_snapshot!("junit_failure", make(&runs::failure()));
    insta::assert_snapshot!("junit_crashed", make(&runs::crashed()));
    insta::assert_snapshot!(
        "junit_bucket_machine_fault",
        make(&runs::bucket_machine_fault())
    );
    insta::assert_snapshot!("junit_denied", make(&runs::denied()));
    insta::assert_snapshot!("junit_hostile", make(&runs::hostile()));
    insta::assert_snapshot!("junit_clones", make(&runs::clones()));
    insta::assert_snapshot!("junit_template_fault", make(&runs::template_fault()));
}

#[test]
fn a_failure_has_its_reason_in_message_and_text() {
    let case = case(&make(&runs::failure()));
    let TestCaseStatus::NonSuccess {
        kind,
        message,
        ty,
        description,
        ..
    } = case.status
    else {
        panic!("{case:?}");
    };
    assert_eq!(kind, NonSuccessKind::Failure);
    assert_eq!(ty.unwrap().as_str(), "fail");
    assert_eq!(message.unwrap().as_str(), "exit status 1: line 40");
    let text = description.unwrap();
    assert!(text.starts_with("exit status 1: line 40\n"), "{text:?}");
    assert!(text.contains("line 11\n") && !text.contains("line 10\n"));
    let out = case.system_out.unwrap();
    assert!(out.starts_with("line 1\nline 2\n"));
    assert!(out.contains("\n[[ATTACHMENT|/out/ext.core.a/m1/console.txt]]\n"));
    assert_eq!(case.classname.unwrap().as_str(), "ext.core");
    assert_eq!(case.time.unwrap().as_millis(), 12345);
}

#[test]
fn flaky_passes_and_shows_the_failed_attempt() {
    let case = case(&make(&runs::flaky()));
    let TestCaseStatus::Success { flaky_runs } = case.status else {
        panic!("{case:?}");
    };
    assert_eq!(flaky_runs.len(), 1);
    assert_eq!(flaky_runs[0].kind, NonSuccessKind::Failure);
    assert_eq!(
        flaky_runs[0].message.as_deref(),
        Some("exit status 1: no route")
    );
    assert_eq!(flaky_runs[0].system_out.as_deref(), Some("no route"));
    assert!(case.system_out.unwrap().starts_with("route\n"));
}

#[test]
fn a_failed_rerun_and_an_infrastructure_failure_keep_all_attempts() {
    let xml = make(&runs::rerun_failed());
    assert!(
        xml.contains("<rerunFailure message=\"first\" type=\"fail\">"),
        "{xml}"
    );
    assert!(
        xml.contains("<failure message=\"second\" type=\"fail\">"),
        "{xml}"
    );
    let xml = make(&runs::infra_then_pass());
    assert!(
        xml.contains("<flakyError message=\"infrastructure (machine died): "),
        "{xml}"
    );
    assert!(xml.contains("machine m1: killed by signal 9"), "{xml}");
    let suite = &parse(&make(&runs::infra())).test_suites[0];
    assert_eq!((suite.failures, suite.errors), (0, 1));
}

#[test]
fn a_warning_does_not_fail_and_is_said() {
    let xml = make(&runs::warn());
    let report = parse(&xml);
    assert_eq!((report.failures, report.errors, report.skipped), (0, 0, 0));
    let out = case(&xml).system_out.unwrap();
    assert!(
        out.starts_with("warning: exit status 1, which is a warning until"),
        "{out:?}"
    );
    assert!(
        out.contains("kolea: verdict=warn attempts=1 machine=m1"),
        "{out:?}"
    );
}

#[test]
fn denied_tests_that_ran_do_not_fail_and_say_why_they_are_denied() {
    let xml = make(&runs::denied());
    let report = parse(&xml);
    let suite = &report.test_suites[0];
    assert_eq!((suite.failures, suite.errors), (0, 0));
    assert_eq!(xml.matches("<skipped ").count(), 3);
    let count = |name: &str| {
        let found = suite
            .properties
            .iter()
            .find(|own| own.name.as_str() == name);
        found.map(|property| property.value.as_str().to_owned())
    };
    assert_eq!(count("xfail").as_deref(), Some("1"));
    assert_eq!(count("xpass").as_deref(), Some("1"));
    let cases = &suite.test_cases;
    let find = |name: &str| {
        cases
            .iter()
            .find(|case| case.name.as_str() == name)
            .unwrap()
    };
    let broken = find("ext.core.broken");
    let TestCaseStatus::Skipped {
        message,
        ty,
        description,
        ..
    } = &broken.status
    else {
        panic!("{broken:?}");
    };
    assert_eq!(ty.as_deref(), Some("xfail"));
    let message = message.as_deref().unwrap();
    assert!(message.starts_with("expected failure: exit status 1: no route; denied by `ext.core.*` (https://example.com/issues/7"), "{message}");
    let text = description.as_deref().unwrap();
    assert!(
        text.contains("attempt 1: infrastructure") && text.contains("ping: no route"),
        "{text}"
    );
    let out = broken.system_out.as_deref().unwrap();
    assert!(
        out.contains("\nping: no route\n") && out.contains("verdict=xfail attempts=2"),
        "{out}"
    );
    let mended = find("ext.core.mended");
    assert!(
        matches!(&mended.status, TestCaseStatus::Success { flaky_runs } if flaky_runs.is_empty())
    );
    let out = mended.system_out.as_deref().unwrap();
    assert!(
        out.starts_with("unexpected pass: denied by `ext.core.*` (https://"),
        "{out}"
    );
    for (name, why) in [
        ("ext.other.denied", "denied: `ext.core.*`"),
        ("ext.other.container", "not supported yet: injectContainer"),
    ] {
        let TestCaseStatus::Skipped { message, .. } = &find(name).status else {
            panic!("{name}");
        };
        assert!(message.as_deref().unwrap().starts_with(why), "{message:?}");
    }
}

#[test]
fn members_keep_their_own_names_and_the_machines_fault_is_a_case() {
    let names = |events: &[Event]| -> Vec<String> {
        let report = parse(&make(events));
        let cases = report.test_suites[0].test_cases.iter();
        cases.map(|case| case.name.as_str().to_owned()).collect()
    };
    assert_eq!(names(&runs::bucket()), ["ext.core.b", "ext.core.a"]);
    assert_eq!(
        names(&runs::bucket_machine_fault()),
        ["ext.core.a", "non-exclusive-test-bucket-0"]
    );
}

#[test]
fn facts_about_the_run_are_properties() {
    let report = parse(&make(&runs::all_pass()));
    let properties = &report.test_suites[0].properties;
    let value = |name: &str| {
        let found = properties
            .iter()
            .find(|property| property.name.as_str() == name);
        found.map(|property| property.value.as_str().to_owned())
    };
    assert_eq!(report.test_suites[0].name.as_str(), "kolea.qemu.x86_64");
    assert_eq!(value("image-sha256").as_deref(), Some("0123abcd"));
    assert_eq!(value("accelerator").as_deref(), Some("tcg (no /dev/kvm)"));
    assert_eq!(value("timeout-factor").as_deref(), Some("4.5"));
    assert_eq!(value("command").as_deref(), Some("kolea run image.qcow2"));
}

#[test]
fn much_output_is_cut_and_the_report_says_where_the_whole_is() {
    let output = "x".repeat(200 << 10);
    let xml = make(
        &Stream::new(&[])
            .once("ext.core.a", "ext.core.a", &fail("no"), &output)
            .once("ext.core.b", "ext.core.b", &Verdict::Pass, &output)
            .end(ExitCode::Fail),
    );
    assert!(xml.len() < 120 << 10, "{}", xml.len());
    assert!(xml.contains("bytes left out here; all of it is in ext.core.a/m1/ext.core.a.txt]"));
    assert!(xml.contains("bytes left out here; all of it is in ext.core.b/m1/ext.core.b.txt]"));
}

#[test]
fn all_machines_of_an_attempt_are_shown_and_no_others() {
    let mut stream = Stream::new(&[("cluster", false, &["cluster"])]);
    stream
        .boot("cluster", false, "m1")
        .start("cluster", "cluster", 1)
        .machine("cluster", "m2")
        .attempt("cluster", "cluster", 1, fail("no"), "", Some("again"))
        .start("cluster", "cluster", 2)
        .machine("cluster", "m3")
        .machine("cluster", "m4")
        .finding("m3", "cluster", "kernel oops", "Oops: 2");
    let xml = make(&stream.events);
    let out = case(&xml).system_out.unwrap();
    assert!(
        out.contains(" machine=m1 machine=m2 machine=m3 machine=m4\n"),
        "{out:?}"
    );
    for machine in ["m3", "m4"] {
        let console = format!("[[ATTACHMENT|/out/cluster/{machine}/console.txt]]");
        assert!(out.contains(&console), "{out:?}");
    }
    let record = Record::from_events(&stream.events);
    let machines: Vec<_> = record.tests[0]
        .attempts
        .iter()
        .map(|attempt| attempt.machines.clone())
        .collect();
    assert_eq!(machines, [["m1", "m2"], ["m3", "m4"]]);
}

fn hostile_text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "(\\x1b[\\[\\]P]|[\\x00-\\x1f]|\\]\\]>|[<&\"'#]|\u{fffe}|\\[\\[ATTACHMENT\\||.){0,40}",
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 96, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_makes_a_valid_report(
        name in hostile_text(),
        reason in hostile_text(),
        output in hostile_text(),
        seconds in any::<f64>(),
    ) {
        let mut stream = Stream::new(&[("g", true, &[name.as_str()])]);
        stream
            .boot("g", true, &output)
            .finding(&output, "g", &reason, &output)
            .stop(&output, &reason)
            .start(&name, "g", 1)
            .attempt(&name, "g", 1, fail(&reason), &output, Some(&reason))
            .start(&name, "g", 2)
            .attempt(&name, "g", 2, fail(&output), &output, None)
            .push(EventKind::TestFinished { test: name.clone(), group: "g".into(), verdict: fail(&reason), seconds })
            .group_end("g", fail(&reason))
            .push(EventKind::Warning { message: output.clone() });
        let xml = make(&stream.end(ExitCode::Fail));
        prop_assert_eq!(validate(&xml), Ok(()));
        let report = parse(&xml);
        prop_assert_eq!(report.tests, 2);
        let attachments = xml.lines().filter(|line| line.contains("[[ATTACHMENT|"));
        for line in attachments {
            prop_assert!(line.contains("[[ATTACHMENT|/out/"), "{}", line);
        }
    }
}
