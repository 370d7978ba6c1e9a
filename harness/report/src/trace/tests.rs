//! Traces of canned and of random runs.

use std::collections::BTreeMap;
use std::path::PathBuf;

use chrono::{DateTime, TimeDelta, Utc};
use kolea_model::{Origin, Phase, Verdict};
use proptest::prelude::*;

use super::*;

fn at(millis: i64) -> DateTime<Utc> {
    DateTime::UNIX_EPOCH + TimeDelta::milliseconds(millis)
}

fn event(millis: i64, kind: EventKind) -> Event {
    Event {
        time: at(millis),
        kind,
    }
}

fn group(name: &str) -> EventKind {
    EventKind::GroupStarted {
        group: name.into(),
        shared: false,
    }
}

fn phase(group: &str, phase: Phase) -> EventKind {
    EventKind::PhaseChanged {
        group: group.into(),
        test: None,
        phase,
    }
}

fn machine(id: &str, owner: &str, origin: Origin) -> EventKind {
    EventKind::MachineStarted {
        machine: id.into(),
        owner: owner.into(),
        dir: PathBuf::from(owner).join(id),
        origin,
    }
}

fn stopped(id: &str) -> EventKind {
    EventKind::MachineStopped {
        machine: id.into(),
        exit: "stopped by kolea".into(),
    }
}

fn step(id: &str, owner: &str, name: &str, began: i64, millis: u32) -> EventKind {
    EventKind::MachineStep {
        machine: id.into(),
        owner: owner.into(),
        step: name.into(),
        began: at(began),
        seconds: f64::from(millis) / 1e3,
    }
}

fn test(name: &str, group: &str) -> EventKind {
    EventKind::TestStarted {
        test: name.into(),
        group: group.into(),
        attempt: 1,
    }
}

fn attempt(name: &str, group: &str) -> EventKind {
    EventKind::AttemptFinished {
        test: name.into(),
        group: group.into(),
        attempt: 1,
        verdict: Verdict::Pass,
        seconds: 1.0,
        own_seconds: 0.5,
        output: String::new(),
        artifacts: BTreeMap::new(),
        retry: None,
    }
}

fn group_end(name: &str) -> EventKind {
    EventKind::GroupFinished {
        group: name.into(),
        seconds: 1.0,
        verdict: Verdict::Pass,
    }
}

/// By row: its name, and its slices as (name, begin, end) in microseconds, in the order they are in the file.
type Read = BTreeMap<u64, (String, Vec<(String, i64, i64)>)>;

/// Reads a trace, and checks that it is one.
fn read(events: &[Event]) -> Read {
    let json: Value = serde_json::from_str(&trace(events)).unwrap();
    let mut rows = Read::new();
    for entry in json["traceEvents"].as_array().unwrap() {
        assert_eq!(entry["pid"], 1);
        let row = rows.entry(entry["tid"].as_u64().unwrap()).or_default();
        let name = entry["name"].as_str().unwrap();
        match entry["ph"].as_str().unwrap() {
            "M" if name == "thread_name" => {
                row.0 = entry["args"]["name"].as_str().unwrap().to_owned();
            }
            "M" => {}
            "X" => {
                let begin = entry["ts"].as_i64().unwrap();
                let end = begin + entry["dur"].as_i64().unwrap();
                assert!(begin >= 0 && end >= begin, "{entry}");
                row.1.push((name.to_owned(), begin, end));
            }
            other => panic!("{other}"),
        }
    }
    for (name, slices) in rows.values() {
        for (index, (_, a, b)) in slices.iter().enumerate() {
            for (_, c, d) in &slices[index + 1..] {
                let disjoint = b <= c || d <= a;
                let nested = (a <= c && d <= b) || (c <= a && b <= d);
                assert!(disjoint || nested, "{name}: {slices:#?}");
            }
        }
    }
    rows
}

fn row<'a>(rows: &'a Read, name: &str) -> &'a [(String, i64, i64)] {
    let found = rows.values().find(|(own, _)| own == name);
    &found
        .unwrap_or_else(|| panic!("no row {name}: {rows:#?}"))
        .1
}

/// In milliseconds.
fn slices(rows: &Read, name: &str) -> Vec<(String, i64, i64)> {
    row(rows, name)
        .iter()
        .map(|(name, begin, end)| (name.clone(), begin / 1000, end / 1000))
        .collect()
}

#[test]
fn a_clone_has_a_row_with_its_phases_and_steps() {
    let id = "0a1b2c3d-0000-4000-8000-000000000000";
    let clone = Origin::Clone {
        template: "template/default".into(),
        dir: "template/default/1".into(),
    };
    let events = [
        event(0, group("a")),
        event(0, phase("a", Phase::Preparing)),
        event(0, test("ext.a", "a")),
        event(10, machine(id, "a", clone)),
        event(10, phase("a", Phase::Booting)),
        event(60, step(id, "a", "start", 5, 50)),
        event(100, phase("a", Phase::Running)),
        // The step goes on while the phase changes.
        event(120, step(id, "a", "exec", 90, 30)),
        event(200, phase("a", Phase::Stopping)),
        event(210, attempt("ext.a", "a")),
        event(230, stopped(id)),
        event(230, group_end("a")),
        event(300, EventKind::Interrupted { signal: "x".into() }),
    ];
    let rows = read(&events);
    assert_eq!(slices(&rows, "run"), [("run".to_owned(), 0, 300)]);
    let slice = |name: &str, begin, end| (name.to_owned(), begin, end);
    assert_eq!(
        slices(&rows, "a 0a1b2c3d"),
        [
            slice("a 0a1b2c3d", 0, 230),
            slice("ext.a", 0, 210),
            slice("preparing", 0, 10),
            slice("start", 5, 10),
            slice("booting", 10, 100),
            slice("start", 10, 55),
            slice("exec", 90, 100),
            slice("running", 100, 200),
            slice("exec", 100, 120),
            slice("stopping", 200, 210),
            slice("stopping", 210, 230),
        ]
    );
    assert!(trace(&events).contains("\"origin\":\"clone of default\""));
}

#[test]
fn each_machine_of_a_group_has_its_own_row_and_a_killed_run_ends_with_its_last_event() {
    let events = [
        event(0, group("b")),
        event(5, machine("m1", "b", Origin::default())),
        event(5, phase("b", Phase::Booting)),
        event(50, stopped("m1")),
        event(60, phase("b", Phase::Preparing)),
        event(70, machine("m2", "b", Origin::default())),
        event(70, phase("b", Phase::Running)),
        event(71, test("t", "b")),
        event(
            99,
            EventKind::Warning {
                message: "x".into(),
            },
        ),
    ];
    let rows = read(&events);
    let names: Vec<&str> = rows.values().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["run", "b m1", "b m2"]);
    assert_eq!(slices(&rows, "b m1")[0], ("b m1".to_owned(), 0, 50));
    let second = slices(&rows, "b m2");
    assert_eq!(second[0], ("b m2".to_owned(), 50, 99));
    assert!(second.contains(&("t".to_owned(), 71, 99)), "{second:?}");
    assert!(
        second.contains(&("preparing".to_owned(), 60, 70)),
        "{second:?}"
    );
}

#[test]
fn nothing_makes_an_empty_trace() {
    assert_eq!(read(&[]).len(), 1);
}

#[test]
fn what_is_recorded_is_written() {
    let dir = tempfile::tempdir().unwrap();
    let events = dir.path().join("events.jsonl");
    let line = serde_json::to_string(&event(0, group("a"))).unwrap();
    std::fs::write(&events, format!("{line}\nrubbish\n")).unwrap();
    let to = dir.path().join("new/trace.json");
    write_trace(&events, &to).unwrap();
    assert!(std::fs::read_to_string(to).unwrap().contains("traceEvents"));
    assert!(write_trace(&dir.path().join("no"), &events).is_err());
}

fn kind() -> impl Strategy<Value = EventKind> {
    let name = prop::sample::select(vec!["a", "b", "c"]);
    (name.clone(), name, 0..9u8, 0..400i64, 0..300u32).prop_map(
        |(one, two, what, began, millis)| match what {
            0 => group(one),
            1 => machine(one, two, Origin::default()),
            2 => stopped(one),
            3 | 4 => step(one, two, "step", began, millis),
            5 => phase(one, Phase::Running),
            6 => test(one, two),
            7 => attempt(one, two),
            _ => group_end(one),
        },
    )
}

proptest! {
    #[test]
    fn any_events_make_a_nested_trace_with_every_machine(
        kinds in prop::collection::vec((kind(), -5..40i64), 0..40),
    ) {
        let mut time = 0;
        let mut events = Vec::new();
        for (kind, wait) in kinds {
            time += wait;
            events.push(event(time, kind));
        }
        let rows = read(&events);
        for event in &events {
            if let EventKind::MachineStarted { machine, .. } = &event.kind {
                let has_it = rows.values().any(|(name, _)| name.ends_with(&format!(" {machine}")));
                prop_assert!(has_it);
            }
        }
    }
}
