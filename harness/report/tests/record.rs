//! What became of tests whose end was not recorded, and how much memory a run takes.

// Helpers outside of #[test] functions are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use common::{Stream, fail, runs};
use kolea_model::{ExitCode, Origin, Phase, Verdict};
use kolea_report::{Fold, JsonlWriter, Limits, Record, Reporter, TemplateState};
use kolea_report::{read_record, write_all};

fn verdict(record: &Record, test: &str) -> Verdict {
    let found = record.tests.iter().find(|record| record.name == test);
    found
        .unwrap_or_else(|| panic!("no test {test}"))
        .verdict
        .clone()
}

fn lost(record: &Record, test: &str) -> String {
    match verdict(record, test) {
        Verdict::Lost { reason } => reason,
        other => panic!("{other}"),
    }
}

#[test]
fn a_crash_loses_what_was_unfinished_and_says_how_far_it_was() {
    let record = Record::from_events(&runs::crashed());
    assert_eq!(verdict(&record, "ext.core.done"), Verdict::Pass);
    assert_eq!(
        lost(&record, "ext.core.running"),
        "kolea was killed or crashed while it was rebooting (attempt 1, 32.0 s after it began)"
    );
    assert_eq!(
        lost(&record, "ext.core.next"),
        "kolea was killed or crashed before it began; its machine was rebooting"
    );
    assert!(
        lost(&record, "ext.core.retried")
            .contains("before another attempt (infrastructure failure)")
    );
    assert_eq!(
        lost(&record, "ext.core.waiting"),
        "kolea was killed or crashed before it began"
    );
    assert!(!record.passed());
    // The members tell it; the bucket adds nothing.
    assert_eq!(
        record
            .verdicts()
            .filter(|(_, verdict)| verdict.is_bad())
            .count(),
        4
    );
    assert!((record.seconds - 83.0).abs() < 0.1);
}

#[test]
fn a_crash_during_the_end_checks_of_a_bucket_is_the_buckets() {
    let mut stream = Stream::new(&[("g", true, &["a"])]);
    stream
        .boot("g", true, "m1")
        .once("a", "g", &Verdict::Pass, "");
    stream.phase("g", None, Phase::Collecting);
    let record = Record::from_events(&stream.events);
    assert_eq!(verdict(&record, "a"), Verdict::Pass);
    let bad: Vec<_> = record
        .verdicts()
        .filter(|(_, verdict)| verdict.is_bad())
        .collect();
    assert_eq!(bad.len(), 1);
    assert_eq!(bad[0].0, "g");
    assert!(
        bad[0]
            .1
            .reason()
            .ends_with("while its machine was collecting"),
        "{}",
        bad[0].1
    );
}

#[test]
fn a_crash_between_the_last_attempt_and_the_verdict_loses_neither() {
    let mut stream = Stream::new(&[]);
    stream
        .start("a", "a", 1)
        .attempt("a", "a", 1, fail("once"), "", Some("rerun"))
        .start("a", "a", 2)
        .attempt("a", "a", 2, Verdict::Pass, "", None)
        .start("b", "b", 1)
        .attempt("b", "b", 1, fail("b"), "", None);
    let record = Record::from_events(&stream.events);
    assert_eq!(
        verdict(&record, "a"),
        Verdict::Flaky {
            reason: "once".into()
        }
    );
    assert_eq!(verdict(&record, "b"), fail("b"));
}

#[test]
fn tests_are_in_plan_order_whatever_finished_first() {
    let events = Stream::new(&[("a", false, &["a"]), ("b", false, &["b"])])
        .once("unplanned", "unplanned", &Verdict::Pass, "")
        .once("b", "b", &Verdict::Pass, "")
        .once("a", "a", &Verdict::Pass, "")
        .end(ExitCode::Pass);
    let record = Record::from_events(&events);
    let names: Vec<&str> = record.tests.iter().map(|test| test.name.as_str()).collect();
    assert_eq!(names, ["a", "b", "unplanned"]);
    assert!(record.passed());
}

#[test]
fn any_beginning_of_a_run_makes_reports() {
    for (name, events) in runs::all() {
        for end in 0..events.len() {
            let record = Record::from_events(&events[..end]);
            let dir = tempfile::tempdir().unwrap();
            write_all(dir.path(), &record).unwrap_or_else(|error| panic!("{name}: {error}"));
            assert!(!record.passed(), "{name} cut at {end}");
        }
    }
}

#[test]
fn a_thousand_tests_of_64_kib_fit_the_memory_budget() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("events.jsonl");
    let mut writer = JsonlWriter::create(&path).unwrap();
    let output = "0123456789abcde\n".repeat(4096);
    for index in 0..1000 {
        let name = format!("ext.core.t{index}");
        let mut stream = Stream::new(&[]);
        stream.once(&name, &name, &fail("no"), &output);
        for event in &stream.events[1..] {
            writer.event(event).unwrap();
        }
    }
    let (record, problems) = read_record(&path).unwrap();
    assert!(problems.is_empty());
    let kept: usize = record.tests.iter().map(|test| test.output().len()).sum();
    assert!(kept < 13 << 20, "{kept} bytes");
    let junit = kolea_report::junit(&record, dir.path()).unwrap();
    assert!(junit.len() < 26 << 20, "{} bytes", junit.len());
}

#[test]
fn templates_clones_and_their_verification_are_recorded() {
    let record = Record::from_events(&runs::clones());
    let states: Vec<&TemplateState> = record.templates.iter().map(|own| &own.state).collect();
    let [
        TemplateState::Made {
            seconds,
            disk_mib: 264,
            ..
        },
        TemplateState::Cached,
        TemplateState::Failed(reason),
    ] = states.as_slice()
    else {
        panic!("{states:?}");
    };
    assert!((*seconds - 24.0).abs() < 0.1, "{seconds}");
    assert!(reason.contains("No space"));
    let clones = record
        .machines
        .iter()
        .filter(|machine| matches!(machine.origin, Origin::Clone { .. }));
    assert_eq!(clones.count(), 2);
    assert_eq!(record.lower_bound_seconds, Some(113.5));
    let same: Vec<bool> = record
        .verified
        .iter()
        .map(|verified| verified.same)
        .collect();
    assert_eq!(same, [true, false]);
    assert_eq!(record.tests.len(), 4);
    assert_eq!(record.tests[0].attempts[0].own_seconds, 5.0);
    assert!(record.passed(), "a report changes no verdict");
    assert!(!Record::from_events(&runs::template_fault()).passed());
}

#[test]
fn a_fold_may_keep_no_output_at_all() {
    let mut fold = Fold::new(Limits::NOTHING);
    runs::failure().iter().for_each(|event| fold.push(event));
    assert_eq!(fold.finish().tests[0].output(), "");
}

#[test]
fn the_output_of_an_expected_failure_is_kept_as_that_of_any_other() {
    let output = "x".repeat(40 << 10);
    let expected = Verdict::XFail {
        reason: "no".into(),
        why: "#1".into(),
    };
    let kept = |verdict: &Verdict| {
        let mut stream = Stream::new(&[]);
        stream.once("a", "a", verdict, &output);
        Record::from_events(&stream.events).tests[0].output().len()
    };
    assert_eq!(kept(&expected), output.len());
    assert_eq!(kept(&expected), kept(&fail("no")));
    assert!(kept(&Verdict::XPass { why: "#1".into() }) < 10 << 10);
}
