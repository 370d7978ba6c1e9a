//! What people and log scrapers see.

// Helpers outside of #[test] functions are tests too.
#![allow(clippy::unwrap_used, clippy::expect_used)]

mod common;

use std::io::{self, Write};
use std::sync::{Arc, Mutex};

use common::runs;
use kolea_model::Event;
use kolea_report::{Reporter, Terminal, TerminalOptions};

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, data: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().write(data)
    }
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn print(events: &[Event], change: impl Fn(&mut TerminalOptions)) -> String {
    let mut options = TerminalOptions {
        output_dir: "out".into(),
        run_lines: true,
        ..TerminalOptions::default()
    };
    change(&mut options);
    let buffer = Buffer::default();
    let mut terminal = Terminal::with_writer(options, Box::new(buffer.clone()));
    for event in events {
        terminal.event(event).unwrap();
    }
    terminal.finish().unwrap();
    let bytes = buffer.0.lock().unwrap().clone();
    String::from_utf8(bytes).unwrap()
}

#[test]
fn runs_look_like_this() {
    for (name, events) in runs::all() {
        insta::assert_snapshot!(format!("terminal_{name}"), print(&events, |_| {}));
    }
}

#[test]
fn the_lines_are_kolas() {
    let text = print(&runs::bucket(), |_| {});
    for line in [
        "=== RUN   non-exclusive-test-bucket-0",
        "=== RUN   non-exclusive-test-bucket-0/ext.core.b",
        "--- PASS: non-exclusive-test-bucket-0/ext.core.b (12.35s)",
        "--- FAIL: non-exclusive-test-bucket-0/ext.core.a (12.35s)",
        "--- FAIL: non-exclusive-test-bucket-0 (33.30s)",
    ] {
        assert!(text.lines().any(|own| own == line), "{line}\n{text}");
    }
    assert_eq!(text.lines().last(), Some("FAIL, output in out"));
    assert_eq!(
        print(&runs::warn(), |_| {}).lines().last(),
        Some("PASS, output in out")
    );
}

#[test]
fn what_is_no_test_has_no_line_of_a_test() {
    for events in [runs::clones(), runs::template_fault()] {
        let text = print(&events, |_| {});
        let tests = text
            .lines()
            .filter(|line| line.starts_with("--- ") || line.starts_with("=== "));
        for line in tests {
            assert!(
                !line.contains("template/") && !line.contains("verify/"),
                "{line}"
            );
        }
    }
    let colored = print(&runs::clones(), |options| options.color = true);
    assert!(
        colored.contains("\u{1b}[31mCLONE DIFFERS\u{1b}[0m: ext.core.b"),
        "{colored:?}"
    );
}

#[test]
fn guests_move_no_cursor_and_forge_no_lines() {
    let text = print(&runs::hostile(), |_| {});
    assert!(
        text.chars().all(|c| c == '\n' || !c.is_control()),
        "{text:?}"
    );
    let results = text.lines().filter(|line| line.starts_with("--- "));
    assert_eq!(results.count(), 1, "{text}");
}

#[test]
fn colours_and_run_lines_only_when_asked_for() {
    let colored = print(&runs::failure(), |options| options.color = true);
    assert!(
        colored.contains("--- \u{1b}[1m\u{1b}[31mFAIL\u{1b}[0m: ext.core.a"),
        "{colored:?}"
    );
    assert!(!print(&runs::failure(), |_| {}).contains('\u{1b}'));
    assert!(!print(&runs::failure(), |options| options.run_lines = false).contains("=== RUN"));
}

#[test]
fn the_live_display_adds_nothing_to_the_lines() {
    let live = print(&runs::bucket(), |options| options.live = true);
    assert_eq!(live, print(&runs::bucket(), |_| {}));
}

#[test]
fn the_end_is_printed_once() {
    let text = print(&runs::all_pass(), |_| {});
    assert_eq!(text.matches("output in out").count(), 1);
}
