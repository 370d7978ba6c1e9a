//! Bytes of a serial console to lines of text.

/// A longer line is given out in pieces of this many bytes.
const LONGEST: usize = 16 << 10;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Text,
    /// After ESC.
    Escape,
    /// In `ESC [ … final`.
    Control,
    /// In `ESC ] … BEL` or `ESC ] … ESC \`, such as systemd's context markers.
    Command,
}

/// Takes a console's output apart into lines, without control characters and terminal escape sequences.
#[derive(Debug, Default)]
pub struct Lines {
    state: State,
    line: Vec<u8>,
}

impl Lines {
    /// Takes bytes in and gives the lines that they complete to `out`.
    pub fn feed(&mut self, bytes: &[u8], out: &mut Vec<String>) {
        for &byte in bytes {
            self.state = match (self.state, byte) {
                // Whatever was going on: a line ends here.
                (_, b'\n') => {
                    out.push(self.take());
                    State::Text
                }
                (_, 0x1b) => State::Escape,
                (State::Text, _) => {
                    if byte == b'\t' || !byte.is_ascii_control() {
                        self.line.push(byte);
                        if self.line.len() >= LONGEST {
                            out.push(self.take());
                        }
                    }
                    State::Text
                }
                (State::Escape, b'[') => State::Control,
                (State::Escape, b']') => State::Command,
                (State::Control, 0x40..=0x7e) | (State::Command, 0x07) | (State::Escape, _) => {
                    State::Text
                }
                (state, _) => state,
            };
        }
    }

    /// The unfinished last line, if there is anything on it.
    pub fn finish(&mut self) -> Option<String> {
        (!self.line.is_empty()).then(|| self.take())
    }

    fn take(&mut self) -> String {
        let line = String::from_utf8_lossy(&self.line).into_owned();
        self.line.clear();
        line
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(pieces: &[&[u8]]) -> Vec<String> {
        let mut lines = Lines::default();
        let mut out = Vec::new();
        for piece in pieces {
            lines.feed(piece, &mut out);
        }
        out.extend(lines.finish());
        out
    }

    #[test]
    fn escape_sequences_and_control_characters_are_left_out() {
        assert_eq!(
            lines(&[b"[\x1b[0;32m  OK  \x1b[0m] a\tb\r\n\x1b]3008;x\x1b\\c\x07\0d"]),
            ["[  OK  ] a\tb", "cd"]
        );
        assert_eq!(lines(&[b"a\x1b", b"[3", b"1mb\n"]), ["ab"]);
        assert_eq!(lines(&[b"cut \x1b[\nnext\n"]), ["cut ", "next"]);
    }

    #[test]
    fn nothing_grows_without_bounds() {
        let long = vec![b'x'; LONGEST * 2 + 5];
        let lengths: Vec<usize> = lines(&[&long]).iter().map(String::len).collect();
        assert_eq!(lengths, [LONGEST, LONGEST, 5]);
        let binary: Vec<u8> = (0..=255).cycle().take(100_000).collect();
        assert!(
            lines(&[&binary])
                .iter()
                .all(|line| line.len() <= 3 * LONGEST)
        );
    }
}
