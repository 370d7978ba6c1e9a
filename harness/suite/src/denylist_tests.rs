//! Denylists: what is read, what is refused, and what applies. The conformance tables have the common cases.

use super::*;
use crate::problem::Severity;
use chrono::TimeZone;
use kolea_model::TestSource;
use proptest::prelude::*;

fn read(text: &str) -> (Denylist, Vec<String>) {
    let (list, problems) = Denylist::parse(text, Path::new("d.yaml"));
    let problems = problems.iter().map(Problem::to_string).collect();
    (list, problems)
}

fn run() -> Selection {
    Selection {
        platform: "qemu".to_owned(),
        arch: "x86_64".to_owned(),
        now: Utc.with_ymd_and_hms(2026, 6, 15, 12, 0, 0).unwrap(),
        ..Selection::default()
    }
}

#[test]
fn an_entry_has_all_of_its_keys() {
    let (list, problems) = read(concat!(
        "# why\n",
        "- pattern: ext.core.*\n",
        "  tracker: https://example.com/1\n",
        "  streams: [testing, 41]\n",
        "  arches:\n    - aarch64\n",
        "  platforms: [qemu]\n",
        "  osversion: ['9.2']\n",
        "  snooze: 2026-07-01\n",
        "  warn: yes\n",
        "- pattern: basic\n",
    ));
    assert_eq!(problems, [""; 0]);
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let expected = DenyEntry {
        line: 2,
        pattern: "ext.core.*".to_owned(),
        tracker: "https://example.com/1".to_owned(),
        streams: names(&["testing", "41"]),
        arches: names(&["aarch64"]),
        platforms: names(&["qemu"]),
        os_versions: names(&["9.2"]),
        snooze: NaiveDate::from_ymd_opt(2026, 7, 1),
        warn: true,
    };
    assert_eq!(list.entries[0], expected);
    assert_eq!(
        list.entries[0].rule(),
        "`ext.core.*` (https://example.com/1, snoozed until 2026-07-01)"
    );
    assert_eq!(
        (list.entries[1].line, list.entries[1].rule()),
        (11, "`basic`".to_owned())
    );
}

#[test]
fn what_is_wrong_is_told_with_its_line() {
    for (text, problem) in [
        (
            "- pattern: a\n  tracer: x\n",
            "d.yaml:2: warning: the key `tracer` is unknown and does nothing: did you mean `tracker`?",
        ),
        (
            "- pattern: a\n  xyzzy: x\n",
            "d.yaml:2: warning: the key `xyzzy` is unknown and does nothing",
        ),
        (
            "- tracker: a\n",
            "d.yaml:1: error: the entry has no `pattern`: say which tests it is for",
        ),
        (
            "- pattern:\n",
            "d.yaml:1: error: `pattern`: it is empty: say which tests the entry is for",
        ),
        (
            "- pattern: '[a'\n",
            "d.yaml:1: error: `pattern`: `[a` is malformed: a `[` has no matching `]`, or nothing between them",
        ),
        (
            "- pattern: [a]\n",
            "d.yaml:1: error: `pattern`: a string is wanted, and this is a list",
        ),
        (
            "- pattern: a\n  snooze: 2026-7-1\n",
            "d.yaml:2: error: `snooze`: \"2026-7-1\" is no date of the form YYYY-MM-DD",
        ),
        (
            "- pattern: a\n  snooze: 2026-02-30\n",
            "d.yaml:2: error: `snooze`: \"2026-02-30\" is no date of the form YYYY-MM-DD",
        ),
        (
            "- pattern: a\n  warn: 'true'\n",
            "d.yaml:2: error: `warn`: a boolean (true or false, without quotes) is wanted, and this is a string",
        ),
        (
            "- pattern: a\n  arches: x86_64\n",
            "d.yaml:2: error: `arches`: a list is wanted, as in `[a, b]`, and this is a string",
        ),
        (
            "- pattern: a\n  arches: [amd64]\n",
            "d.yaml:2: warning: `arches`: `amd64` matches no machine; the RPM name is `x86_64`",
        ),
        (
            "- pattern: a\n  arches: ['!x86_64']\n",
            "d.yaml:2: warning: `arches`: `!x86_64` matches nothing: a denylist has no `!` to exclude",
        ),
        (
            "- pattern: a\n  arches: [!x86_64 ]\n",
            "d.yaml:2: error: `arches`: unquoted, `!x86_64` is a YAML tag and says nothing here: write \"!x86_64\" in quotes",
        ),
        (
            "- pattern: a\n  arches: [~]\n",
            "d.yaml:2: warning: `arches`: an empty name matches nothing",
        ),
        (
            "- pattern: a\n  warn: true\n  warn: false\n",
            "d.yaml:3: warning: `warn` is given twice: line 2 does not count",
        ),
        (
            "- pattern: a\n  <<: b\n",
            "d.yaml:2: error: the denylist is not valid YAML: a merge key (`<<`) needs a mapping or a list of mappings",
        ),
        (
            "- pattern: a\n  ? [x]\n  : y\n",
            "d.yaml:2: error: a key: a string is wanted, and this is a list",
        ),
        (
            "pattern: a\n",
            "d.yaml:1: error: a denylist is a list of entries that begin with `- pattern:`, and this is a mapping",
        ),
        (
            "- a\n",
            "d.yaml:1: error: an entry is a mapping that begins with `- pattern:`, and this is a string",
        ),
    ] {
        assert_eq!(read(text).1, [problem], "{text}");
    }
    let (list, problems) = read("- pattern: a\n  arches: [\n");
    assert!(list.entries.is_empty());
    assert!(
        problems[0].contains("error: the denylist is not valid YAML: "),
        "{problems:?}"
    );
    assert!(read("- pattern: a\n---\n- pattern: b\n").1[0].contains("second YAML document"));
    let (_, problems) = read("- pattern: basic/Test*\n");
    assert!(
        problems[0].contains("warning: `pattern`: `basic/Test*` matches nothing"),
        "{problems:?}"
    );
}

/// Found by fuzzing: a folded scalar brought a line break into a message.
#[test]
fn a_message_is_one_line() {
    let (list, said) = read("- pattern: a\n\n   b/c\n- pattern: d\n  tracker: e\n\n    f\n");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        !said[0].contains('\n') && said[0].contains("control characters"),
        "{said:?}"
    );
    assert_eq!(list.entries[0].rule(), "`d` (e f)");
}

#[test]
fn one_bad_entry_spoils_no_other() {
    let (list, problems) =
        read("- pattern: a\n- patern: b\n- pattern: c\n  snooze: x\n- pattern: d\n");
    assert_eq!(problems.len(), 3, "{problems:?}");
    let patterns: Vec<&str> = list
        .entries
        .iter()
        .map(|entry| entry.pattern.as_str())
        .collect();
    assert_eq!(patterns, ["a", "d"]);
}

#[test]
fn an_empty_file_is_an_empty_list() {
    for text in ["", "# nothing\n", "[]\n", "---\n", "~"] {
        let (list, problems) = read(text);
        assert!(list.entries.is_empty() && problems.is_empty(), "{text:?}");
    }
}

#[test]
fn merge_keys_work_and_cannot_explode() {
    let (list, problems) = read(
        "- &a\n  pattern: a\n  warn: true\n  arches: [s390x]\n- <<: *a\n  pattern: b\n  arches: []\n",
    );
    assert!(problems.is_empty(), "{problems:?}");
    let second = &list.entries[1];
    assert_eq!(
        (second.pattern.as_str(), second.warn, second.arches.len()),
        ("b", true, 0)
    );
    let mut text = String::from("- &a0 {pattern: x}\n");
    for level in 1..64 {
        let below = level - 1;
        text.push_str(&format!("- &a{level}\n  <<: [*a{below}, *a{below}]\n"));
    }
    let (list, problems) = read(&text);
    assert_eq!((list.entries.len(), problems.len()), (64, 0));
}

#[test]
fn snooze_denies_until_its_day_and_warn_comes_after() {
    let effect = |snooze: Option<(u32, u32)>, warn| {
        let entry = DenyEntry {
            snooze: snooze.and_then(|(month, day)| NaiveDate::from_ymd_opt(2026, month, day)),
            warn,
            ..DenyEntry::default()
        };
        entry.effect(&run())
    };
    let (before, same, after) = (Some((6, 14)), Some((6, 15)), Some((6, 16)));
    assert_eq!(effect(None, false), Some(Effect::Deny));
    assert_eq!(effect(None, true), Some(Effect::Warn));
    assert_eq!(effect(after, false), Some(Effect::Deny));
    assert_eq!(effect(after, true), Some(Effect::Deny));
    for over in [before, same] {
        assert_eq!(effect(over, false), None);
        assert_eq!(effect(over, true), Some(Effect::Warn));
    }
}

#[test]
fn the_special_entry_is_for_the_console_and_for_no_test() {
    let skips = |more: &str| {
        let (list, _) = read(&format!("- pattern: skip-console-warnings\n{more}"));
        assert!(list.unused(&[]).is_empty());
        list.skips_console_warnings(&run())
    };
    assert!(skips(""));
    assert!(skips(
        "  arches: [x86_64]\n  platforms: [qemu]\n  snooze: 2026-06-16\n"
    ));
    assert!(!skips("  arches: [s390x]\n"));
    assert!(!skips("  platforms: [aws]\n"));
    assert!(!skips("  streams: [testing]\n"));
    assert!(!skips("  snooze: 2026-06-15\n"));
    assert!(!read("- pattern: skip-*\n").0.skips_console_warnings(&run()));
}

#[test]
fn entries_that_are_for_no_test_are_found() {
    let copy = TestCase {
        copy_of: Some("ext.core.copied".to_owned()),
        ..TestCase::new("ext.core.copied0", TestSource::Native)
    };
    let tests = [TestCase::new("ext.core.reboot", TestSource::Native), copy];
    let (list, _) = read(
        "- pattern: ext.core.reb*\n- pattern: ext.core.reboto\n- pattern: ext.core.copied\n- pattern: xyzzy\n",
    );
    let unused: Vec<String> = list.unused(&tests).iter().map(Problem::to_string).collect();
    assert_eq!(
        unused,
        [
            "d.yaml:2: warning: no test is called `ext.core.reboto`: did you mean `ext.core.reboot`?",
            "d.yaml:4: warning: no test is called `xyzzy`: remove the entry"
        ]
    );
}

#[test]
fn the_stream_and_the_version_must_be_known() {
    let (list, _) = read("- pattern: a\n  streams: [testing]\n- pattern: b\n  osversion: ['9']\n");
    let effects = |selection: &Selection| -> Vec<bool> {
        list.entries
            .iter()
            .map(|entry| entry.effect(selection).is_some())
            .collect()
    };
    assert_eq!(effects(&run()), [false, false]);
    let known = |stream: &str, version: &str| Selection {
        stream: Some(stream.to_owned()),
        os_version: Some(version.to_owned()),
        ..run()
    };
    assert_eq!(effects(&known("testing", "9")), [true, true]);
    assert_eq!(effects(&known("stable", "8")), [false, false]);
    assert!(list.notes(&known("stable", "8")).is_empty());
    assert_eq!(list.notes(&run()).len(), 2);
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC*") {
        let _ = read(&text);
    }

    #[test]
    fn no_text_like_a_denylist_makes_it_panic(
        lines in prop::collection::vec("(- |  )?(pattern|snooze|warn|arches|<<|x|\\? \\[): ?[-&*a\\[\\]{}!'0-9.,~]{0,12}", 0..8)
    ) {
        let (list, problems) = read(&lines.join("\n"));
        prop_assert!(list.entries.iter().all(|entry| !entry.pattern.is_empty()));
        prop_assert!(problems.iter().all(|problem| !problem.contains('\n')));
    }

    /// An entry is read, or an error says why not.
    #[test]
    fn nothing_is_dropped_in_silence(patterns in prop::collection::vec("[a-c*\\[]{0,3}", 0..6)) {
        let text: String = patterns.iter().map(|pattern| format!("- pattern: '{pattern}'\n")).collect();
        let (list, problems) = Denylist::parse(&text, Path::new("d"));
        let errors = problems.iter().filter(|problem| problem.severity == Severity::Error);
        prop_assert_eq!(list.entries.len() + errors.count(), patterns.len());
    }
}
