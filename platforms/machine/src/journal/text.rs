//! The journal for people.

use std::fmt::Write;

use chrono::{Local, TimeZone};

use crate::JournalEntry;

/// Writes entries as kola's `journal.txt` has them: `Jan  2 15:04:05.000000 unit[pid]: message`, in local time, with
/// `-- Reboot --` between boots.
#[derive(Clone, Debug, Default)]
pub struct JournalText {
    boot_id: String,
}

impl JournalText {
    /// The lines for one entry, each with its line ending; empty for an entry without a message.
    pub fn lines(&mut self, entry: &JournalEntry) -> String {
        self.lines_in(&Local, entry)
    }

    fn lines_in<Z: TimeZone>(&mut self, zone: &Z, entry: &JournalEntry) -> String
    where
        Z::Offset: std::fmt::Display,
    {
        let mut text = String::new();
        if entry.message.is_empty() {
            return text;
        }
        if entry.boot_id != self.boot_id {
            if !self.boot_id.is_empty() {
                text.push_str("-- Reboot --\n");
            }
            self.boot_id.clone_from(&entry.boot_id);
        }
        let source = entry
            .unit
            .as_deref()
            .or(entry.identifier.as_deref())
            .unwrap_or("unknown");
        let mut head = entry
            .time
            .with_timezone(zone)
            .format("%b %e %H:%M:%S%.6f ")
            .to_string();
        escape(source, &mut head);
        if let Some(pid) = entry.pid {
            let _ = write!(head, "[{pid}]"); // a String takes everything
        }
        head.push_str(": ");
        let indent = head.chars().count();
        for (number, line) in entry.message.trim_end_matches('\n').split('\n').enumerate() {
            if number == 0 {
                text.push_str(&head);
            } else {
                text.extend(std::iter::repeat_n(' ', indent));
            }
            escape(line, &mut text);
            text.push('\n');
        }
        text
    }
}

/// A terminal must not obey what a guest wrote.
fn escape(line: &str, out: &mut String) {
    for character in line.chars() {
        if character.is_control() && character != '\t' {
            let _ = write!(out, "\\x{:02x}", u32::from(character)); // a String takes everything
        } else {
            out.push(character);
        }
    }
}

#[cfg(test)]
mod tests {
    use chrono::{DateTime, Utc};

    use super::*;

    fn entry(boot: &str, message: &str) -> JournalEntry {
        JournalEntry {
            time: DateTime::from_timestamp_micros(1_704_207_845_000_042).unwrap(),
            boot_id: boot.to_owned(),
            unit: Some("sshd.service".to_owned()),
            identifier: Some("sshd".to_owned()),
            pid: Some(12),
            message: message.to_owned(),
        }
    }

    #[test]
    fn lines_are_those_of_kola() {
        let mut text = JournalText::default();
        assert_eq!(
            text.lines_in(&Utc, &entry("a", "hello\x1b[31m")),
            "Jan  2 15:04:05.000042 sshd.service[12]: hello\\x1b[31m\n"
        );
        assert_eq!(text.lines_in(&Utc, &entry("b", "")), "");
        let kernel = JournalEntry {
            unit: None,
            identifier: None,
            pid: None,
            ..entry("b", "two\nlines\n")
        };
        assert_eq!(
            text.lines_in(&Utc, &kernel),
            "-- Reboot --\nJan  2 15:04:05.000042 unknown: two\n                                lines\n"
        );
        assert!(!text.lines(&entry("b", "x")).contains("Reboot"));
    }
}
