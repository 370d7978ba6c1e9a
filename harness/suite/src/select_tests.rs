//! The selection rules, one by one.

use super::*;
use kolea_model::{MachineNeeds, TestSource};

fn test(name: &str) -> TestCase {
    TestCase {
        tags: vec!["external".to_owned()],
        ..TestCase::new(name, TestSource::Native)
    }
}

fn tests() -> Vec<TestCase> {
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

fn on_qemu(patterns: &[&str], tags: &[&str]) -> Selection {
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
    // with a pattern, a positive tag does not narrow; it only satisfies requiredTag
    let (run, _) = outcome(&on_qemu(&["ext.other.luks", "*.a"], &["luks"]));
    assert_eq!(run, ["ext.core.a", "ext.other.luks"]);
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
    assert!(error(&[], &["nosuch"]).contains("none has a tag"));
    assert_eq!(
        select(Vec::new(), &on_qemu(&[], &[])),
        Err(SelectError::NoTests)
    );
}
