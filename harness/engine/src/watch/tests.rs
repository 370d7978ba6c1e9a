use std::sync::Arc;

use kolea_model::Event;

use super::*;

fn order(dir: &Path, rules: bool, findings_count: bool) -> WatchOrder {
    let test = |name: &str, unit: &str| WatchedTest {
        test: name.to_owned(),
        unit: unit.to_owned(),
        identifier: "kola-runext-test.sh".to_owned(),
        end_marker: format!("end of {unit}"),
    };
    WatchOrder {
        machine: "id".to_owned(),
        owner: "group".to_owned(),
        dir: dir.to_path_buf(),
        tests: vec![
            test("a", "kola-runext-1.service"),
            test("b", "kola-runext-2.service"),
        ],
        rules: rules.then(|| RuleSet::new(&[])),
        findings_count,
    }
}

fn journal(identifier: &str, unit: &str, message: &str) -> Line {
    Line::Journal(Arc::new(JournalEntry {
        identifier: Some(identifier.to_owned()),
        unit: Some(unit.to_owned()),
        pid: Some(7),
        message: message.to_owned(),
        ..JournalEntry::default()
    }))
}

fn console(text: &str) -> Line {
    Line::Console(text.to_owned())
}

async fn watched(order: WatchOrder, lines: Vec<Line>) -> (Watcher, Vec<Event>) {
    let (events, mut received) = EventSender::channel();
    let (sender, receiver) = mpsc::channel(4);
    let watcher = Watcher::start(order, Some(receiver), events);
    for line in lines {
        sender.send(line).await.unwrap();
    }
    drop(sender);
    watcher.closed(Duration::from_secs(5)).await;
    let mut seen = Vec::new();
    while let Ok(event) = received.try_recv() {
        seen.push(event);
    }
    (watcher, seen)
}

#[tokio::test]
async fn tests_with_the_same_executable_are_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    let lines = vec![
        journal("kola-runext-test.sh", "kola-runext-1.service", "one"),
        journal("kola-runext-test.sh", "kola-runext-2.service", "two"),
        journal("kola-runext-test.sh", "other.service", "three"),
        journal("kolet", "", "end of kola-runext-2.service"),
        journal("kola-runext-test.sh", "kola-runext-1.service", "four\n"),
    ];
    let (watcher, _) = watched(order(dir.path(), true, true), lines).await;
    assert_eq!(watcher.output("a"), "one\nfour\n");
    assert_eq!(watcher.output("b"), "two\n");
    assert_eq!((watcher.ends("a"), watcher.ends("b")), (0, 1));
    let file = std::fs::read_to_string(dir.path().join("a.txt")).unwrap();
    assert_eq!(file, "one\nfour\n");
}

#[tokio::test]
async fn findings_are_reported_as_they_come_and_fatal_ones_stand_out() {
    let dir = tempfile::tempdir().unwrap();
    let lines = vec![
        console("Oops: 1"),
        journal(
            "systemd",
            "init.scope",
            "x.service: Main process exited, code=dumped, status=11/SEGV",
        ),
        // The test's own words are not the system's.
        journal(
            "kola-runext-test.sh",
            "kola-runext-1.service",
            "panic: at the disco",
        ),
        console("Kernel panic - not syncing: no init"),
        console(""),
    ];
    let (watcher, events) = watched(order(dir.path(), true, true), lines).await;
    let rules: Vec<String> = watcher
        .findings_since(0)
        .into_iter()
        .map(|finding| finding.rule)
        .collect();
    assert_eq!(rules, ["kernel oops", "segfault"]);
    assert_eq!(watcher.fatal().await.rule, "kernel panic (no init)");
    assert_eq!(events.len(), 3);
    assert_eq!(
        watcher.last_progress(Some("a")),
        "last line of the test: \"panic: at the disco\"; last line of the console: \"Kernel panic - not syncing: no init\""
    );
}

#[tokio::test]
async fn rules_can_be_left_out_or_made_warnings() {
    let dir = tempfile::tempdir().unwrap();
    let lines = || vec![console("Kernel panic - not syncing: x")];
    let (watcher, events) = watched(order(dir.path(), false, true), lines()).await;
    assert_eq!((watcher.fatal_so_far(), events.len()), (None, 0));
    let (watcher, events) = watched(order(dir.path(), true, false), lines()).await;
    assert_eq!(watcher.fatal_so_far(), None);
    assert!(
        matches!(&events[1].kind, EventKind::Warning { message } if message.contains("kernel panic"))
    );
}

#[tokio::test]
async fn ignition_that_gives_up_is_quoted_with_what_went_wrong() {
    let dir = tempfile::tempdir().unwrap();
    let error = "GET error: Get \"http://a/b\": dial tcp: refused";
    let mut lines = vec![console(&format!("[  3.1] ignition[412]: {error}"))];
    let (watcher, _) = watched(order(dir.path(), true, true), lines.clone()).await;
    assert_eq!(watcher.ignition_error().unwrap(), error);
    let end = "Ignition failed: unable to fetch resource in time";
    lines.push(journal("ignition", "", end));
    let (watcher, _) = watched(order(dir.path(), true, true), lines).await;
    assert_eq!(
        watcher.ignition_error().unwrap(),
        format!("{end} ({error})")
    );
}

#[tokio::test]
async fn what_ignition_did_fetch_in_the_end_is_not_quoted() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = Vec::new();
    for (message, quoted) in [
        ("GET error: network is unreachable", true),
        ("GET result: OK", false),
        ("GET result: Service Unavailable", true),
    ] {
        lines.push(journal("ignition", "", message));
        let (watcher, _) = watched(order(dir.path(), true, true), lines.clone()).await;
        let expected = quoted.then(|| message.to_owned());
        assert_eq!(watcher.ignition_error(), expected);
    }
}

#[tokio::test]
async fn ignition_is_quoted_by_its_most_telling_line() {
    let dir = tempfile::tempdir().unwrap();
    let mut lines = vec![
        console("[  3.1] ignition[412]: files: op(1): [failed] writing file"),
        console("no ignition here: failed"),
    ];
    let (watcher, _) = watched(order(dir.path(), true, true), lines.clone()).await;
    assert!(watcher.ignition_error().unwrap().contains("op(1)"));
    lines.extend([
        journal(
            "ignition",
            "",
            "Ignition failed: failed to create files: no space",
        ),
        journal("ignition", "", "files: op(2): [failed] something later"),
    ]);
    let (watcher, _) = watched(order(dir.path(), true, true), lines).await;
    assert_eq!(
        watcher.ignition_error().unwrap(),
        "Ignition failed: failed to create files: no space"
    );
}

#[tokio::test(start_paused = true)]
async fn waiting_for_the_end_is_bounded_and_ends_with_the_marker() {
    let dir = tempfile::tempdir().unwrap();
    let (events, _received) = EventSender::channel();
    let (sender, receiver) = mpsc::channel(4);
    let watcher = Watcher::start(order(dir.path(), true, true), Some(receiver), events);
    let start = tokio::time::Instant::now();
    watcher.ended("a", 0, Duration::from_secs(10)).await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    let waiter = watcher.clone();
    let task = tokio::spawn(async move { waiter.ended("a", 0, Duration::from_secs(10)).await });
    sender
        .send(journal("kolet", "", "end of kola-runext-1.service"))
        .await
        .unwrap();
    task.await.unwrap();
    assert_eq!(start.elapsed(), Duration::from_secs(10));
}
