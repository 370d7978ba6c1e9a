//! The journal export format (systemd's "Journal Export Formats"): `NAME=text` lines, or `NAME`, a 64-bit little-endian
//! length and that many bytes; an empty line ends an entry.

use std::collections::HashSet;
use std::hash::{DefaultHasher, Hash, Hasher};

use super::RawEntry;

/// The largest field that is taken for a field, in bytes; more is taken for garbage.
const MAX_FIELD: usize = 16 << 20;
/// journald's limit for the length of a field's name, in bytes.
const MAX_NAME: usize = 64;
/// journalctl writes this field first.
const CURSOR: &str = "__CURSOR";

/// Splits a stream into entries. A stream may break off anywhere and start anew (the guest was reset): what is torn is lost,
/// the entries after it are not. An entry that comes twice in a boot is given once: the stream's unit starts from the
/// boot's beginning again after a soft reboot.
#[derive(Clone, Debug, Default)]
pub struct ExportParser {
    buffer: Vec<u8>,
    /// How much of the buffer is known to have no line's end.
    scanned: usize,
    entry: RawEntry,
    /// Nothing counts until the next entry's first field.
    lost: bool,
    boot: Vec<u8>,
    seen: HashSet<u64>,
}

enum Step {
    /// More bytes are needed.
    Wait,
    /// This many bytes are done with.
    Used(usize),
    /// And they end the entry.
    End(usize),
}

impl ExportParser {
    /// Takes the next bytes of the stream and returns the entries that they complete.
    pub fn feed(&mut self, bytes: &[u8]) -> Vec<RawEntry> {
        self.buffer.extend_from_slice(bytes);
        let mut buffer = std::mem::take(&mut self.buffer);
        let mut entries = Vec::new();
        let mut done = 0;
        loop {
            done += match self.step(&buffer[done..]) {
                Step::Wait => break,
                Step::Used(used) => used,
                Step::End(used) => {
                    let entry = std::mem::take(&mut self.entry);
                    if !entry.is_empty() && self.is_new(&entry) {
                        entries.push(entry);
                    }
                    used
                }
            };
        }
        buffer.drain(..done);
        self.buffer = buffer;
        entries
    }

    /// Whether the stream could end here without an entry being torn.
    pub fn is_between_entries(&self) -> bool {
        self.buffer.is_empty() && self.entry.is_empty()
    }

    /// Takes an entry for one that has come already: a stream that goes on where another ended must not repeat it.
    pub fn pass(&mut self, entry: &RawEntry) {
        self.is_new(entry);
    }

    fn step(&mut self, rest: &[u8]) -> Step {
        let scanned = std::mem::take(&mut self.scanned);
        let Some(length) = rest[scanned..]
            .iter()
            .position(|byte| *byte == b'\n')
            .map(|at| scanned + at)
        else {
            if rest.len() <= MAX_FIELD {
                self.scanned = rest.len();
                return Step::Wait;
            }
            // Too long for a line. All but the last byte goes, so that what follows is still known to be garbage.
            self.lose();
            return Step::Used(rest.len() - 1);
        };
        let line = &rest[..length];
        let next = length + 1;
        if line.is_empty() {
            return if self.lost {
                Step::Used(next)
            } else {
                Step::End(next)
            };
        }
        if length > MAX_FIELD {
            self.lose();
            return Step::Used(next);
        }
        if let Some(at) = line.iter().position(|byte| *byte == b'=') {
            if let Some(name) = field_name(&line[..at]) {
                self.field(name, &line[at + 1..]);
            }
            return Step::Used(next);
        }
        let Some(name) = field_name(line).filter(|_| !self.lost) else {
            return Step::Used(next);
        };
        let Some(size) = rest[next..].first_chunk::<8>() else {
            self.scanned = length;
            return Step::Wait;
        };
        let start = next + 8;
        let Some(size) = usize::try_from(u64::from_le_bytes(*size))
            .ok()
            .filter(|size| *size <= MAX_FIELD)
        else {
            self.lose();
            return Step::Used(next);
        };
        match rest[start..].get(size) {
            None => {
                self.scanned = length;
                Step::Wait
            }
            Some(b'\n') => {
                self.field(name, &rest[start..start + size]);
                Step::Used(start + size + 1)
            }
            Some(_) => {
                // Torn: the bytes are those of another stream, and are looked through for its entries.
                self.lose();
                Step::Used(next)
            }
        }
    }

    fn field(&mut self, name: &str, value: &[u8]) {
        let first =
            name == CURSOR || (name == "__REALTIME_TIMESTAMP" && self.entry.get(name).is_some());
        if first {
            self.entry = RawEntry::default();
            self.lost = false;
        }
        if !self.lost {
            self.entry.push(name, value);
        }
    }

    fn lose(&mut self) {
        self.entry = RawEntry::default();
        self.lost = true;
    }

    fn is_new(&mut self, entry: &RawEntry) -> bool {
        let Some(cursor) = entry.get(CURSOR) else {
            return true;
        };
        let boot = entry.get("_BOOT_ID").unwrap_or_default();
        if boot != self.boot {
            self.boot = boot.to_vec();
            self.seen.clear();
        }
        let mut hasher = DefaultHasher::new();
        cursor.hash(&mut hasher);
        self.seen.insert(hasher.finish())
    }
}

fn field_name(bytes: &[u8]) -> Option<&str> {
    let valid = !bytes.is_empty()
        && bytes.len() <= MAX_NAME
        && bytes
            .iter()
            .all(|byte| matches!(byte, b'A'..=b'Z' | b'0'..=b'9' | b'_'));
    valid.then(|| std::str::from_utf8(bytes).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(name: &str, value: &str) -> Vec<u8> {
        format!("{name}={value}\n").into_bytes()
    }

    fn binary(name: &str, value: &[u8]) -> Vec<u8> {
        let mut bytes = format!("{name}\n").into_bytes();
        bytes.extend((value.len() as u64).to_le_bytes());
        bytes.extend(value);
        bytes.push(b'\n');
        bytes
    }

    fn entry(cursor: &str, message: &[u8]) -> Vec<u8> {
        let mut bytes = text(CURSOR, cursor);
        bytes.extend(text("__REALTIME_TIMESTAMP", "1700000000000000"));
        bytes.extend(text("_BOOT_ID", "b"));
        bytes.extend(binary("MESSAGE", message));
        bytes.push(b'\n');
        bytes
    }

    fn messages(entries: &[RawEntry]) -> Vec<String> {
        entries
            .iter()
            .map(|entry| entry.to_entry().message)
            .collect()
    }

    #[test]
    fn text_and_binary_fields_are_read() {
        let mut parser = ExportParser::default();
        let mut stream = entry("a", b"line\n\nline=\0");
        stream.extend(b"MESSAGE=plain = text\n_PID=5\n\n\n\n");
        let entries = parser.feed(&stream);
        assert_eq!(entries.len(), 2);
        assert_eq!(entries[0].get("MESSAGE"), Some(&b"line\n\nline=\0"[..]));
        assert_eq!(entries[1].to_entry().message, "plain = text");
        assert_eq!(entries[1].to_entry().pid, Some(5));
    }

    #[test]
    fn a_stream_that_starts_anew_loses_only_what_is_torn() {
        let whole = entry(
            "a",
            b"a message that is rather long, so that it can be torn",
        );
        for cut in 1..whole.len() - 1 {
            let mut parser = ExportParser::default();
            let mut entries = parser.feed(&whole[..cut]);
            for (cursor, message) in [("b", "second"), ("c", "third"), ("d", "fourth")] {
                entries.extend(parser.feed(&entry(cursor, message.as_bytes())));
            }
            // Bytes that a torn binary field still waits for.
            entries.extend(parser.feed(&entry("e", &[b'x'; 100])));
            entries.extend(parser.feed(&entry("f", b"last")));
            let messages = messages(&entries);
            assert!(
                messages.ends_with(&[
                    "third".into(),
                    "fourth".into(),
                    "x".repeat(100),
                    "last".into()
                ]),
                "cut at {cut}: {messages:?}"
            );
        }
    }

    #[test]
    fn an_entry_comes_once_in_a_boot() {
        let mut parser = ExportParser::default();
        let mut stream = entry("a", b"1");
        stream.extend(entry("b", b"2"));
        stream.extend(entry("a", b"1"));
        stream.extend(entry("b", b"2"));
        stream.extend(entry("c", b"3"));
        assert_eq!(messages(&parser.feed(&stream)), ["1", "2", "3"]);
    }

    #[test]
    fn a_stream_that_goes_on_repeats_nothing() {
        let mut first = ExportParser::default();
        assert!(first.is_between_entries());
        let before = first.feed(&entry("a", b"1"));
        assert!(first.is_between_entries());
        first.feed(b"__CURSOR=b\n");
        assert!(!first.is_between_entries());
        let mut second = ExportParser::default();
        before.iter().for_each(|entry| second.pass(entry));
        let mut stream = entry("a", b"1");
        stream.extend(entry("b", b"2"));
        assert_eq!(messages(&second.feed(&stream)), ["2"]);
    }

    #[test]
    fn absurd_sizes_and_endless_lines_are_passed_over() {
        let mut parser = ExportParser::default();
        let mut stream = b"MESSAGE\n".to_vec();
        stream.extend(u64::MAX.to_le_bytes());
        stream.extend(b"\n\n");
        stream.extend(entry("a", b"after"));
        assert_eq!(messages(&parser.feed(&stream)), ["after"]);
        let chunk = vec![b'x'; 1 << 20];
        for _ in 0..18 {
            assert!(parser.feed(&chunk).is_empty());
        }
        assert!(parser.buffer.len() <= MAX_FIELD + 1);
        parser.feed(b"\n");
        assert_eq!(messages(&parser.feed(&entry("b", b"on"))), ["on"]);
    }

    fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
        let piece = prop_oneof![
            4 => (any::<u16>(), prop::collection::vec(any::<u8>(), 0..40))
                .prop_map(|(cursor, message)| entry(&cursor.to_string(), &message)),
            1 => prop::collection::vec(any::<u8>(), 0..40),
            1 => prop_oneof![
                Just(b"MESSAGE\n".to_vec()), Just(b"\n".to_vec()), Just(b"A=1\n".to_vec()),
                Just(b"__CURSOR=".to_vec()), Just(vec![3, 0, 0, 0, 0, 0, 0, 0]),
            ],
        ];
        prop::collection::vec(piece, 0..12)
    }

    proptest! {
        #[test]
        fn any_split_gives_the_same_entries(pieces in pieces(), sizes in prop::collection::vec(1usize..50, 1..20)) {
            let stream = pieces.concat();
            let whole = ExportParser::default().feed(&stream);
            let mut parser = ExportParser::default();
            let mut split = Vec::new();
            let (mut rest, mut sizes) = (stream.as_slice(), sizes.into_iter().cycle());
            while !rest.is_empty() {
                let (head, tail) = rest.split_at(sizes.next().unwrap().min(rest.len()));
                split.extend(parser.feed(head));
                rest = tail;
            }
            prop_assert_eq!(whole, split);
        }
    }
}
