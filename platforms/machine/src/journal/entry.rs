//! One journal entry with all its fields.

use chrono::DateTime;
use serde_json::{Map, Value};

use crate::JournalEntry;

/// A journal entry as it was sent: every field, in order, repeated ones included.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RawEntry {
    fields: Vec<(String, Vec<u8>)>,
}

impl RawEntry {
    /// The first value of a field.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.fields
            .iter()
            .find(|(own, _)| own == name)
            .map(|(_, value)| value.as_slice())
    }

    /// Whether it has no fields.
    pub fn is_empty(&self) -> bool {
        self.fields.is_empty()
    }

    pub(super) fn push(&mut self, name: &str, value: &[u8]) {
        self.fields.push((name.to_owned(), value.to_vec()));
    }

    fn text(&self, name: &str) -> Option<String> {
        self.get(name)
            .map(|value| String::from_utf8_lossy(value).into_owned())
    }

    fn number<T: std::str::FromStr>(&self, name: &str) -> Option<T> {
        std::str::from_utf8(self.get(name)?).ok()?.parse().ok()
    }

    /// What the harness works with. The time is that of reception (`__REALTIME_TIMESTAMP`).
    pub fn to_entry(&self) -> JournalEntry {
        JournalEntry {
            time: self
                .number("__REALTIME_TIMESTAMP")
                .and_then(DateTime::from_timestamp_micros)
                .unwrap_or_default(),
            boot_id: self.text("_BOOT_ID").unwrap_or_default(),
            unit: self.text("_SYSTEMD_UNIT"),
            identifier: self.text("SYSLOG_IDENTIFIER"),
            pid: self.number("_PID"),
            message: self.text("MESSAGE").unwrap_or_default(),
        }
    }

    /// One line as `journalctl -o json --all` writes it: values that are not UTF-8 are arrays of bytes, repeated fields
    /// arrays of values.
    pub fn to_json(&self) -> String {
        let mut object: Map<String, Value> = Map::new();
        let mut repeated: Vec<&str> = Vec::new();
        for (name, bytes) in &self.fields {
            let value = match std::str::from_utf8(bytes) {
                Ok(text) => Value::from(text),
                Err(_) => Value::from(bytes.clone()),
            };
            match object.get_mut(name) {
                None => {
                    object.insert(name.clone(), value);
                }
                Some(Value::Array(values)) if repeated.contains(&name.as_str()) => {
                    values.push(value);
                }
                Some(first) => {
                    *first = Value::Array(vec![first.take(), value]);
                    repeated.push(name);
                }
            }
        }
        Value::Object(object).to_string()
    }

    /// Reads a line of `journalctl -o json`. `None` if it is not an object; values of unknown form are left out (`null`
    /// stands for a value that was too long).
    pub fn from_json_line(line: &str) -> Option<RawEntry> {
        let Value::Object(object) = serde_json::from_str(line).ok()? else {
            return None;
        };
        let mut entry = RawEntry::default();
        for (name, value) in &object {
            match (bytes_of(value), value) {
                (Some(bytes), _) => entry.push(name, &bytes),
                (None, Value::Array(values)) => {
                    for bytes in values.iter().filter_map(bytes_of) {
                        entry.push(name, &bytes);
                    }
                }
                _ => {}
            }
        }
        Some(entry)
    }
}

/// A text, or an array of bytes.
fn bytes_of(value: &Value) -> Option<Vec<u8>> {
    match value {
        Value::String(text) => Some(text.clone().into_bytes()),
        Value::Array(values) => values
            .iter()
            .map(|byte| byte.as_u64().and_then(|byte| u8::try_from(byte).ok()))
            .collect(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_keeps_bytes_and_repeated_fields() {
        let mut entry = RawEntry::default();
        entry.push("MESSAGE", b"caf\xc3\xa9 \"x\"\n\x1b");
        entry.push("BLOB", &[0, 255, 10]);
        entry.push("OBJECT", b"one");
        entry.push("OBJECT", b"two");
        entry.push("OBJECT", &[254]);
        let line = entry.to_json();
        assert!(!line.contains('\n'));
        let read = RawEntry::from_json_line(&line).unwrap();
        assert_eq!(read.get("MESSAGE"), entry.get("MESSAGE"));
        assert_eq!(read.get("BLOB"), Some(&[0, 255, 10][..]));
        assert_eq!(
            read.fields
                .iter()
                .filter(|(name, _)| name == "OBJECT")
                .count(),
            3
        );
    }

    #[test]
    fn a_line_of_journalctl_is_read() {
        let line = r#"{"_BOOT_ID":"b0","MESSAGE":[104,105,255],"__REALTIME_TIMESTAMP":"1700000000123456","_PID":"7","SYSLOG_IDENTIFIER":"kernel","BIG":null,"_SYSTEMD_UNIT":"a.service"}"#;
        let entry = RawEntry::from_json_line(line).unwrap().to_entry();
        assert_eq!(entry.message, "hi\u{fffd}");
        assert_eq!(entry.pid, Some(7));
        assert_eq!(entry.time.timestamp_micros(), 1_700_000_000_123_456);
        assert_eq!(entry.unit.as_deref(), Some("a.service"));
        for garbage in ["", "[]", "{", "null", "-- no entries --"] {
            assert_eq!(RawEntry::from_json_line(garbage), None);
        }
    }
}
