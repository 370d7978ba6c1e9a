//! What `kolea list` prints.

use super::*;
use kolea_model::{SkipReason, TestSource};
use serde_json::{Value, json};

fn tests() -> Vec<TestCase> {
    let strings = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let plain = TestCase {
        tags: strings(&["external", "slow"]),
        description: "Says \"hello\"".to_owned(),
        ..TestCase::new("ext.core.a", TestSource::Native)
    };
    let restricted = TestCase {
        platforms: Restriction {
            include: strings(&["qemu", "aws"]),
            exclude: Vec::new(),
        },
        architectures: Restriction {
            include: Vec::new(),
            exclude: strings(&["s390x", "ppc64le"]),
        },
        exclusive: false,
        ..TestCase::new("ext.core.restricted", TestSource::Native)
    };
    vec![plain, restricted]
}

#[test]
fn the_table_is_kolas() {
    assert_eq!(
        show(&tests(), false).unwrap(),
        concat!(
            "Test Name\t\tPlatforms\tArchitectures\t\tDistributions\tTags\n",
            "\n",
            "ext.core.a\t\t[all]\t\t[all]\t\t\t[all]\t\t[external slow]\n",
            "ext.core.restricted\t[qemu aws]\t[aarch64 x86_64]\t[all]\t\t[]\n",
        )
    );
}

#[test]
fn the_json_has_kolas_fields_and_some_more() {
    let text = show(&tests(), true).unwrap();
    assert!(
        text.starts_with(
            "[\n\t{\n\t\t\"Name\": \"ext.core.a\",\n\t\t\"Platforms\": [\n\t\t\t\"aws\","
        ),
        "{text}"
    );
    let rows: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        rows[1],
        json!({
            "Name": "ext.core.restricted",
            "Platforms": ["qemu", "aws"],
            "Architectures": ["aarch64", "x86_64"],
            "Distros": ["fcos", "rhcos", "scos", "nestos", "flatcar"],
            "Tags": [],
            "Description": "",
            "Exclusive": false,
            "FreshBoot": false,
            "TimeoutSeconds": 60,
        })
    );
    assert_eq!(rows[0]["Architectures"], json!(ARCHITECTURES));
    assert_eq!(rows[0]["Description"], "Says \"hello\"");
    assert_eq!(show(&[], true).unwrap(), "[]\n");
}

fn explained() -> Vec<(TestCase, Decision)> {
    let test = |name: &str| TestCase::new(name, TestSource::Native);
    let why = || "`x` (#1)".to_owned();
    let denied = SkipReason::Denied { rule: why() };
    vec![
        (test("runs"), Decision::Run),
        (
            TestCase {
                on_failure: OnFailure::Warn {
                    why: "new".to_owned(),
                },
                ..test("new")
            },
            Decision::Run,
        ),
        (
            TestCase {
                on_failure: OnFailure::Expected { why: why() },
                ..test("broken")
            },
            Decision::Run,
        ),
        (test("denied"), Decision::Skip(denied)),
        (
            test("other"),
            Decision::NotAskedFor("it matches no pattern".to_owned()),
        ),
    ]
}

#[test]
fn every_test_says_why() {
    assert_eq!(
        show_why(&explained(), false).unwrap(),
        concat!(
            "Test Name\tDecision\tReason\n",
            "\n",
            "runs\t\trun\n",
            "new\t\trun\t\ta failure is a warning: new\n",
            "broken\t\trun\t\ta failure is expected: denied by `x` (#1)\n",
            "denied\t\tskip\t\tdenied: `x` (#1)\n",
            "other\t\tnot asked for\tit matches no pattern\n",
            "\n",
            "3 run, 1 skipped, 1 not asked for\n",
        )
    );
    let rows: Value = serde_json::from_str(&show_why(&explained(), true).unwrap()).unwrap();
    assert_eq!(rows[0]["Decision"], "run");
    assert_eq!(rows[0]["Reason"], "");
    assert_eq!(rows[3]["Name"], "denied");
    assert_eq!(rows[3]["Reason"], "denied: `x` (#1)");
    assert_eq!(rows[4]["Decision"], "not asked for");
}

/// A table of ten thousand tests takes some milliseconds with optimisation.
#[test]
fn a_long_list_takes_no_time() {
    let tests: Vec<TestCase> = (0..10_000)
        .map(|n| TestCase::new(format!("ext.core.t{n}"), TestSource::Native))
        .collect();
    let before = std::time::Instant::now();
    assert_eq!(show(&tests, false).unwrap().lines().count(), 10_002);
    assert!(show(&tests, true).is_ok());
    let took = before.elapsed();
    assert!(took < std::time::Duration::from_secs(2), "{took:?}");
}
