//! The selection rules, one by one.

use super::*;
use crate::denylist::DenyEntry;
use chrono::{NaiveDate, TimeZone};
use kolea_model::{MachineNeeds, OnFailure, Restriction, TestSource};

pub(super) fn test(name: &str) -> TestCase {
    TestCase {
        tags: vec!["external".to_owned()],
        ..TestCase::new(name, TestSource::Native)
    }
}

pub(super) fn tests() -> Vec<TestCase> {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    vec![
        test("ext.core.a"),
        TestCase {
            tags: names(&["external", "slow"]),
            ..test("ext.core.b")
        },
        TestCase {
            tags: names(&["external", "needs-internet"]),
            needs: MachineNeeds {
                internet: true,
                ..MachineNeeds::default()
            },
            ..test("ext.core.net")
        },
        TestCase {
            required_tag: Some("luks".to_owned()),
            ..test("ext.other.luks")
        },
        TestCase {
            architectures: Restriction {
                include: Vec::new(),
                exclude: names(&["x86_64"]),
            },
            ..test("ext.other.not-x86")
        },
        TestCase {
            platforms: Restriction {
                include: names(&["aws", "gcp"]),
                exclude: Vec::new(),
            },
            ..test("ext.other.cloud")
        },
        TestCase {
            tags: names(&["external", "platform-independent"]),
            ..test("ext.other.anywhere")
        },
    ]
}

pub(super) fn on_qemu(patterns: &[&str], tags: &[&str]) -> Selection {
    let names = |list: &[&str]| list.iter().map(|name| (*name).to_owned()).collect();
    Selection {
        patterns: names(patterns),
        tags: names(tags),
        no_net: false,
        platform: "qemu".to_owned(),
        arch: "x86_64".to_owned(),
        distro: Some("fcos".to_owned()),
        ..Selection::default()
    }
}

/// Names that run, and names with reasons that do not.
fn outcome(selection: &Selection) -> (Vec<String>, Vec<String>) {
    let selected = select(tests(), selection).unwrap();
    let run = selected.run.into_iter().map(|test| test.name).collect();
    let skipped = selected.skipped.into_iter();
    let skipped = skipped
        .map(|(test, reason)| format!("{}: {reason}", test.name))
        .collect();
    (run, skipped)
}

#[test]
fn without_a_pattern_everything_is_asked_for_and_accounted_for() {
    for patterns in [&[][..], &["*"]] {
        let (run, skipped) = outcome(&on_qemu(patterns, &[]));
        assert_eq!(
            run,
            [
                "ext.core.a",
                "ext.core.b",
                "ext.core.net",
                "ext.other.anywhere"
            ]
        );
        assert_eq!(
            skipped,
            [
                "ext.other.luks: deselected: it runs only with --tag luks",
                "ext.other.not-x86: not applicable: architectures: !x86_64",
                "ext.other.cloud: not applicable: platforms: aws gcp",
            ]
        );
    }
}

#[test]
fn patterns_are_for_names_and_tags_and_any_may_match() {
    let (run, skipped) = outcome(&on_qemu(&["slow", "*.a"], &[]));
    assert_eq!(run, ["ext.core.a", "ext.core.b"]);
    assert!(skipped.is_empty());
    // with a pattern, a positive tag does not narrow: it adds
    let (run, _) = outcome(&on_qemu(&["*.a"], &["luks"]));
    assert_eq!(run, ["ext.core.a", "ext.other.luks"]);
    // a pattern that is a name is none for tags
    let mut named = tests();
    named.push(test("slow"));
    let selected = select(named, &on_qemu(&["slow"], &[])).unwrap();
    assert_eq!(names(&selected.run), ["slow"]);
}

#[test]
fn tags_select_and_exclude() {
    assert_eq!(outcome(&on_qemu(&[], &["slow"])).0, ["ext.core.b"]);
    assert_eq!(outcome(&on_qemu(&[], &["luks"])).0, ["ext.other.luks"]);
    let (run, skipped) = outcome(&on_qemu(&["ext.core.*"], &["!slow"]));
    assert_eq!(run, ["ext.core.a", "ext.core.net"]);
    assert_eq!(skipped, ["ext.core.b: deselected: --tag !slow"]);
}

#[test]
fn the_run_s_surroundings_exclude() {
    let offline = Selection {
        no_net: true,
        ..on_qemu(&["*.net", "*.a"], &[])
    };
    let (run, skipped) = outcome(&offline);
    assert_eq!(run, ["ext.core.a"]);
    assert!(skipped[0].contains("--no-net"), "{skipped:?}");
    let aws = Selection {
        platform: "aws".to_owned(),
        ..on_qemu(&["ext.other.*"], &[])
    };
    let (run, skipped) = outcome(&aws);
    assert_eq!(run, ["ext.other.cloud"]);
    assert!(skipped[2].contains("platform-independent"), "{skipped:?}");
    let arm = Selection {
        arch: "aarch64".to_owned(),
        ..on_qemu(&["*.not-x86"], &[])
    };
    assert_eq!(outcome(&arm).0, ["ext.other.not-x86"]);
}

#[test]
fn nothing_to_run_is_an_error_that_tells_why() {
    let error = |patterns: &[&str], tags: &[&str]| {
        let error = select(tests(), &on_qemu(patterns, tags)).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        error(&["*.a", "ext.core.nett"], &[]),
        "no test has a name or a tag that matches `ext.core.nett`; did you mean ext.core.net?"
    );
    assert!(error(&["*.luk*", "xyz*"], &[]).contains("kolea list"));
    assert!(error(&["[a"], &[]).contains("malformed"));
    assert_eq!(
        error(&["*.cloud"], &[]),
        "no test is left to run: ext.other.cloud (not applicable: platforms: aws gcp)"
    );
    assert_eq!(
        error(&[], &["slows"]),
        "no test has a name or a tag that matches `--tag slows`; did you mean slow?"
    );
    assert_eq!(
        select(Vec::new(), &on_qemu(&[], &[])),
        Err(SelectError::NoTests)
    );
}

pub(super) fn names(tests: &[TestCase]) -> Vec<&str> {
    tests.iter().map(|test| test.name.as_str()).collect()
}

pub(super) fn denied(entries: Vec<DenyEntry>) -> Selection {
    Selection {
        denylist: Denylist {
            entries,
            ..Denylist::default()
        },
        now: chrono::Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap(),
        ..on_qemu(&["ext.core.*"], &[])
    }
}

pub(super) fn entry(pattern: &str) -> DenyEntry {
    DenyEntry {
        pattern: pattern.to_owned(),
        tracker: "https://example.com/1".to_owned(),
        ..DenyEntry::default()
    }
}

/// What a failure of `name` means in this run.
fn on_failure(selection: &Selection, name: &str) -> OnFailure {
    let run = select(tests(), selection).unwrap().run;
    let test = run.into_iter().find(|test| test.name == name).unwrap();
    test.on_failure
}

#[test]
fn what_denies_a_test_is_in_its_reason() {
    let mut selection = denied(vec![entry("*.b")]);
    selection.denied = vec!["*.a".to_owned()];
    let (run, skipped) = outcome(&selection);
    assert_eq!(run, ["ext.core.net"]);
    assert_eq!(
        skipped,
        [
            "ext.core.a: denied: --denylist-test *.a",
            "ext.core.b: denied: `*.b` (https://example.com/1)"
        ]
    );
    // other rules come first, and a test that is not asked for is not denied
    selection.patterns = vec!["ext.core.n*".to_owned(), "*.luks".to_owned()];
    selection.denylist.entries.push(entry("*.luks"));
    let (run, skipped) = outcome(&selection);
    assert_eq!(run, ["ext.core.net"]);
    assert_eq!(
        skipped,
        ["ext.other.luks: deselected: it runs only with --tag luks"]
    );
}

#[test]
fn tests_are_denied_by_name_only() {
    assert!(outcome(&denied(vec![entry("slow")])).1.is_empty());
}

#[test]
fn denied_tests_run_if_they_are_to_and_are_expected_to_fail() {
    let mut both = denied(vec![
        entry("*.b"),
        DenyEntry {
            warn: true,
            ..entry("*.b")
        },
    ]);
    both.run_denied = true;
    both.denied = vec!["*.net".to_owned()];
    assert!(outcome(&both).1.is_empty());
    let why = |why: &str| OnFailure::Expected {
        why: why.to_owned(),
    };
    assert_eq!(
        on_failure(&both, "ext.core.b"),
        why("`*.b` (https://example.com/1)")
    );
    assert_eq!(
        on_failure(&both, "ext.core.net"),
        why("--denylist-test *.net")
    );
    assert_eq!(on_failure(&both, "ext.core.a"), OnFailure::Fail);
}

#[test]
fn an_empty_run_is_no_error_where_kola_has_none() {
    let all = denied(vec![entry("ext.core.*")]);
    let selected = select(tests(), &all).unwrap();
    assert!(selected.run.is_empty());
    let why = selected.why_nothing().unwrap();
    assert!(
        why.starts_with("no test is left to run: ext.core.a (denied: "),
        "{why}"
    );
    // a part without tests
    let part = |index| Selection {
        shard: Some(Shard { index, count: 2 }),
        ..on_qemu(&["ext.core.a"], &[])
    };
    let run = |index| select(tests(), &part(index)).unwrap();
    let (first, second) = (run(1), run(2));
    assert_eq!(first.run.len() + second.run.len(), 1);
    let empty = if first.run.is_empty() { first } else { second };
    let why = empty.why_nothing().unwrap();
    assert!(why.contains("deselected: --sharding hash:"), "{why}");
    // but what cannot run at all is in no part
    let mut cloud = part(1);
    cloud.patterns = vec!["*.cloud".to_owned()];
    assert!(matches!(
        select(tests(), &cloud),
        Err(SelectError::Nothing { .. })
    ));
}

#[test]
fn a_new_test_only_warns_until_its_grace_is_over() {
    let mut suite = tests();
    let end = chrono::Utc.with_ymd_and_hms(2026, 6, 16, 0, 0, 0).unwrap();
    suite[0].grace_until = Some(end);
    let meaning = |now| {
        let selection = Selection {
            now,
            ..on_qemu(&["*.a"], &[])
        };
        select(suite.clone(), &selection).unwrap().run[0]
            .on_failure
            .clone()
    };
    let why = "the test is new: until 2026-06-16".to_owned();
    assert_eq!(
        meaning(end - chrono::TimeDelta::seconds(1)),
        OnFailure::Warn { why }
    );
    assert_eq!(meaning(end), OnFailure::Fail);
}

#[test]
fn firmware_counts_on_qemu_only_and_if_it_is_known() {
    let mut suite = tests();
    suite[0].firmwares.include = vec!["uefi".to_owned()];
    let runs = |platform: &str, firmware: &str| {
        let selection = Selection {
            platform: platform.to_owned(),
            firmware: firmware.to_owned(),
            ..on_qemu(&["ext.core.a", "ext.core.b"], &[])
        };
        select(suite.clone(), &selection).unwrap().run.len() == 2
    };
    assert!(runs("qemu", "uefi"));
    assert!(runs("qemu", ""));
    assert!(runs("aws", "bios"));
    assert!(!runs("qemu", "bios"));
}

#[test]
fn copies_are_tests_of_their_own_that_stay_apart() {
    let mut suite = vec![test("a"), test("b"), test("c")];
    for test in &mut suite {
        test.exclusive = false;
    }
    suite[0].conflicts = vec!["b".to_owned(), "gone".to_owned()];
    let multiplied = |patterns: &[&str]| Selection {
        multiply: 3,
        ..on_qemu(patterns, &[])
    };
    let run = select(suite.clone(), &multiplied(&["a", "c1"]))
        .unwrap()
        .run;
    assert_eq!(names(&run), ["a0", "a1", "a2", "c1"]);
    assert_eq!(run[0].copy_of.as_deref(), Some("a"));
    assert_eq!(run[0].conflicts, ["b0", "b1", "b2", "gone", "a1", "a2"]);
    assert_eq!(run[2].conflicts, ["b0", "b1", "b2", "gone"]);
    suite[2].exclusive = true;
    let run = select(suite.clone(), &multiplied(&["c"])).unwrap().run;
    assert!(run.iter().all(|copy| copy.conflicts.is_empty()));
    // a denylist speaks of the original, or of one copy
    let mut selection = multiplied(&[]);
    selection.denied = vec!["a".to_owned(), "c1".to_owned()];
    let run = select(suite, &selection).unwrap().run;
    assert_eq!(names(&run), ["b0", "b1", "b2", "c0", "c2"]);
}

#[test]
fn copies_of_two_tests_may_not_have_one_name() {
    let suite = || {
        (0..3)
            .map(|n| test(["a", "a1", "b"][n]))
            .collect::<Vec<_>>()
    };
    let many = |patterns: &[&str]| Selection {
        multiply: 12,
        ..on_qemu(patterns, &[])
    };
    let error = select(suite(), &many(&[])).unwrap_err().to_string();
    assert!(
        error.contains("a copy of a and one of a1 would both be called a10"),
        "{error}"
    );
    assert_eq!(select(suite(), &many(&["b"])).unwrap().run.len(), 12);
}

#[test]
fn what_was_not_asked_for_is_explained_too() {
    let why = |patterns: &[&str], tags: &[&str]| {
        let explained = explain(tests(), &on_qemu(patterns, tags)).unwrap();
        assert_eq!(explained.len(), tests().len());
        match &explained[0].1 {
            Decision::NotAskedFor(why) => why.clone(),
            other => format!("{other:?}"),
        }
    };
    assert_eq!(why(&["*.b"], &[]), "it matches no pattern");
    assert_eq!(why(&[], &["slow", "!x"]), "it has no tag of --tag slow");
    assert_eq!(
        why(&["*.b"], &["slow"]),
        "it matches no pattern and has no tag of --tag slow"
    );
    assert_eq!(why(&["*.a"], &["slow"]), "Run");
    assert_eq!(explain(Vec::new(), &on_qemu(&[], &[])), Ok(Vec::new()));
}

#[test]
fn what_cannot_be_applied_is_noted() {
    let day = NaiveDate::from_ymd_opt(2026, 6, 15).unwrap();
    let mut selection = denied(vec![
        DenyEntry {
            streams: vec!["testing".to_owned()],
            ..entry("*.a")
        },
        DenyEntry {
            streams: vec!["testing".to_owned()],
            arches: vec!["s390x".to_owned()],
            ..entry("*.a")
        },
        DenyEntry {
            snooze: Some(day),
            ..entry("*.b")
        },
    ]);
    selection.denied = vec!["nosuch*".to_owned()];
    let found = notes(&tests(), &selection);
    assert_eq!(
        found,
        [
            "1 entry of the denylist with `streams` cannot be applied, so the tests run: the stream \
             (--denylist-stream) is not known",
            "the snooze is over, so the tests run: `*.b` (https://example.com/1, snoozed until 2026-06-15)",
            "--denylist-test nosuch*: no test is called that",
        ]
    );
    selection.stream = Some("testing".to_owned());
    assert_eq!(notes(&tests(), &selection).len(), 2);
}

#[test]
fn patterns_alone_make_a_list() {
    let list = |patterns: &[&str]| {
        let patterns: Vec<String> = patterns.iter().map(|text| (*text).to_owned()).collect();
        matching(tests(), &patterns).map(|tests| tests.len())
    };
    assert_eq!(list(&[]), Ok(7));
    assert_eq!(list(&["*.luks", "slow"]), Ok(2));
    assert!(list(&["nosuch"]).is_err());
}
