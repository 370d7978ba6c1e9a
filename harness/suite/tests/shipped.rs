//! The trees that the project ships: `core` and `selftest` are without fault, and every file of `broken` has one.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use kolea_model::TestSource;
use kolea_suite::{Severity, Suite, TestTree, load};

fn shipped(name: &str) -> Suite {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../../tests-external")
        .join(name);
    let Ok(Some(tree)) = TestTree::from_exttest(&dir) else {
        panic!("there are no tests in {}", dir.display());
    };
    assert_eq!(tree.prefix, format!("ext.{name}"));
    load(&[tree])
}

#[test]
fn core_and_selftest_are_without_fault() {
    for name in ["core", "selftest"] {
        let suite = shipped(name);
        let problems: Vec<String> = suite.problems.iter().map(ToString::to_string).collect();
        assert!(problems.is_empty(), "{problems:#?}");
        assert!(suite.tests.len() >= 15);
        for test in &suite.tests {
            assert!(!test.description.is_empty(), "{}", test.name);
        }
    }
}

#[test]
fn core_has_both_kinds_of_tests_with_configs_and_conflicts() {
    let suite = shipped("core");
    let count = |exclusive| {
        suite
            .tests
            .iter()
            .filter(|test| test.exclusive == exclusive)
            .count()
    };
    assert!(count(true) >= 5 && count(false) >= 10);
    assert!(suite.tests.iter().any(|test| !test.conflicts.is_empty()));
    assert!(
        suite
            .tests
            .iter()
            .any(|test| test.config.is_some() && test.exclusive)
    );
    assert!(
        suite
            .tests
            .iter()
            .any(|test| test.config.is_some() && !test.exclusive)
    );
}

#[test]
fn in_core_only_tests_that_say_so_boot_afresh() {
    for test in shipped("core").tests {
        let TestSource::External(external) = &test.source else {
            panic!("{test:?}");
        };
        let text = std::fs::read_to_string(&external.executable).unwrap();
        assert_eq!(
            test.fresh_boot,
            text.contains("freshBoot: true"),
            "{}",
            test.name
        );
    }
}

#[test]
fn every_file_of_broken_has_its_problem() {
    let suite = shipped("broken");
    let messages: String = suite
        .problems
        .iter()
        .map(|problem| format!("{problem}\n"))
        .collect();
    println!("{messages}");
    let file = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
    let blamed: BTreeSet<String> = suite
        .problems
        .iter()
        .map(|problem| file(&problem.file))
        .collect();
    let expected = [
        "bad-date",
        "bad-disk",
        "bad-port",
        "beyond-8-kib",
        "config.bu",
        "config.fcc",
        "config.ign",
        "conflicts-exclusive",
        "conflicts-unknown",
        "duplicate-key",
        "kola.json",
        "link",
        "lost-key",
        "negative",
        "not-executable",
        "not-json",
        "not-yaml",
        "quoted-boolean",
        "quoted-integer",
        "resembles-metadata",
        "shared-with-memory",
        "trailing-json",
        "two-blocks",
        "unknown-key",
        "unquoted-exclusion",
        "unterminated",
        "up",
        "wrong-type",
        "yaml-and-json",
    ];
    let missing: Vec<_> = expected
        .iter()
        .filter(|name| !blamed.contains(**name))
        .collect();
    assert!(missing.is_empty(), "{missing:?} in\n{messages}");
    assert!(messages.contains("exists already"), "{messages}");
    let errors = suite
        .problems
        .iter()
        .filter(|problem| problem.severity == Severity::Error);
    assert!(errors.count() >= 20, "{messages}");
    let fine = suite
        .tests
        .iter()
        .find(|test| test.name == "ext.broken.fine");
    assert!(fine.is_some());
    assert!(!blamed.contains("fine"), "{messages}");
    // one line each
    assert_eq!(messages.lines().count(), suite.problems.len());
    let sorted: Vec<PathBuf> = suite
        .problems
        .iter()
        .map(|problem| problem.file.clone())
        .collect();
    assert!(sorted.is_sorted());
}
