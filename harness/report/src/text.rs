//! Text that comes from guests, made fit for a terminal and for XML.

use std::fmt::Write as _;

/// Longest escape sequence that is believed to be one; a lone ESC in binary garbage must not swallow what follows it.
const LONGEST_ESCAPE: usize = 256;

/// Longest reason or message that is printed on one line, in characters.
const LONGEST_LINE: usize = 1000;

/// `text` without terminal escape sequences, and with no character that moves a cursor, reverses the writing
/// direction or is forbidden in XML 1.0 (<https://www.w3.org/TR/xml/#charsets>). Line feeds and tabs stay; a carriage
/// return becomes a line feed unless one follows.
pub fn clean(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let length = match c {
            '\x1b' => escape_length(rest),
            '\r' => {
                if !rest[1..].starts_with('\n') {
                    out.push('\n');
                }
                1
            }
            _ => {
                if is_plain(c) {
                    out.push(c);
                }
                c.len_utf8()
            }
        };
        rest = &rest[length..];
    }
    out
}

/// `text` on one line: cleaned, white space runs joined, cut at 1,000 characters.
pub fn one_line(text: &str) -> String {
    let cleaned = clean(text);
    let mut line = String::with_capacity(cleaned.len().min(LONGEST_LINE));
    for (index, word) in cleaned.split_whitespace().enumerate() {
        if index > 0 {
            line.push(' ');
        }
        line.push_str(word);
    }
    if let Some((cut, _)) = line.char_indices().nth(LONGEST_LINE) {
        line.truncate(cut);
        line.push('…');
    }
    line
}

/// The last `count` lines of `text`, and how many lines were left out before them. Blank lines at the end don't count.
pub fn last_lines(text: &str, count: usize) -> (Vec<&str>, usize) {
    let lines: Vec<&str> = text.trim_end().lines().collect();
    let hidden = lines.len().saturating_sub(count);
    (lines[hidden..].to_vec(), hidden)
}

/// `text` in at most about `limit` bytes: the first third and the last two thirds of them (what failed is mostly at
/// the end), with a line between that says how much is missing and, when known, where all of it is.
pub fn cut_middle(text: &str, limit: usize, whole: Option<&str>) -> String {
    if text.len() <= limit {
        return text.to_owned();
    }
    let head = floor(text, limit / 3);
    let tail = ceil(text, text.len() - (limit - limit / 3));
    let mut out = String::with_capacity(limit + 100);
    out.push_str(&text[..head]);
    if head > 0 && !out.ends_with('\n') {
        out.push('\n');
    }
    let _infallible = write!(out, "[kolea: {} bytes left out here", tail - head);
    if let Some(whole) = whole {
        let _infallible = write!(out, "; all of it is in {whole}");
    }
    out.push_str("]\n");
    out.push_str(&text[tail..]);
    out
}

/// A number of seconds for people: `0.3 s`, `12.3 s`, `2 min 5 s`, `1 h 2 min`.
pub fn duration(seconds: f64) -> String {
    let seconds = if seconds.is_finite() {
        seconds.max(0.0)
    } else {
        0.0
    };
    if seconds < 59.95 {
        return format!("{seconds:.1} s");
    }
    // Saturates; a run is shorter than 584 billion years.
    let whole = seconds.round() as u64;
    if whole < 3600 {
        format!("{} min {} s", whole / 60, whole % 60)
    } else {
        format!("{} h {} min", whole / 3600, whole % 3600 / 60)
    }
}

/// Bytes of the escape sequence that `text`, which begins with ESC, starts with; 1 (ESC alone) if it isn't a whole one.
fn escape_length(text: &str) -> usize {
    let bytes = &text.as_bytes()[..text.len().min(LONGEST_ESCAPE)];
    match bytes.get(1) {
        // CSI: parameters and intermediates, then one final byte (ECMA-48, 5.4).
        Some(b'[') => bytes[2..]
            .iter()
            .position(|byte| !(0x20..=0x3f).contains(byte))
            .filter(|end| (0x40..=0x7e).contains(&bytes[2 + end]))
            .map_or(2, |end| end + 3),
        // OSC, DCS, SOS, PM, APC: a string that BEL or ST ends, on one line.
        Some(b']' | b'P' | b'X' | b'^' | b'_') => string_length(bytes).unwrap_or(2),
        // Two or three bytes: charset selection, save cursor, keypad mode, …
        Some(0x20..=0x2f) => match bytes.get(2) {
            Some(0x30..=0x7e) => 3,
            _ => 1,
        },
        Some(0x30..=0x7e) => 2,
        _ => 1,
    }
}

/// Bytes of the control string that `bytes` starts with, its terminator included.
fn string_length(bytes: &[u8]) -> Option<usize> {
    for (index, byte) in bytes.iter().enumerate().skip(2) {
        match byte {
            0x07 => return Some(index + 1),
            0x1b if bytes.get(index + 1) == Some(&b'\\') => return Some(index + 2),
            b'\n' | b'\r' | 0x1b => return None,
            _ => {}
        }
    }
    None
}

/// Whether a character can be shown anywhere as it is.
fn is_plain(c: char) -> bool {
    match c {
        '\n' | '\t' => true,
        // C0, DEL and C1 (which holds an 8-bit CSI).
        '\0'..='\u{1f}' | '\u{7f}'..='\u{9f}' => false,
        // Embeddings, overrides and isolates of the writing direction.
        '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => false,
        '\u{fffe}' | '\u{ffff}' => false,
        _ => true,
    }
}

/// The nearest character boundary at or before `index`.
pub(crate) fn floor(text: &str, index: usize) -> usize {
    (0..=index.min(text.len()))
        .rev()
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(0)
}

/// The nearest character boundary at or after `index`.
pub(crate) fn ceil(text: &str, index: usize) -> usize {
    (index..text.len())
        .find(|index| text.is_char_boundary(*index))
        .unwrap_or(text.len())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn escape_sequences_go_and_text_stays() {
        assert_eq!(
            clean("\x1b[1;31mred\x1b[0m and \x1b[?25lplain"),
            "red and plain"
        );
        assert_eq!(
            clean("\x1b]0;title\x07a\x1b]8;;http://x\x1b\\link"),
            "alink"
        );
        assert_eq!(clean("\x1b(Ba\x1bMb\x1b"), "ab");
        // Not a sequence: only the introducer goes.
        assert_eq!(clean("\x1b]never ended\nnext"), "never ended\nnext");
        assert_eq!(clean("\x1b[12\nnext"), "12\nnext");
    }

    #[test]
    fn what_xml_or_a_terminal_cannot_take_goes() {
        assert_eq!(
            clean("a\0b\u{fffe}c\u{ffff}d\u{9b}31me\u{7f}f"),
            "abcd31mef"
        );
        assert_eq!(clean("evil\u{202e}txt.exe"), "eviltxt.exe");
        assert_eq!(clean("1%\r50%\r100%\r\ndone"), "1%\n50%\n100%\ndone");
        assert_eq!(clean("tab\tund ümläut 🐦 ]]>"), "tab\tund ümläut 🐦 ]]>");
    }

    #[test]
    fn one_line_is_one_line() {
        assert_eq!(one_line("  a\n\tb\x1b[0m\r\nc "), "a b c");
        assert_eq!(one_line(&"ä".repeat(2000)).chars().count(), 1001);
    }

    #[test]
    fn the_middle_is_cut_at_character_boundaries() {
        let text = "ü".repeat(600);
        let cut = cut_middle(&text, 300, Some("a/b.txt"));
        assert!(
            cut.contains("bytes left out here; all of it is in a/b.txt]"),
            "{cut}"
        );
        assert!(cut.len() < 420);
        assert_eq!(cut_middle("short", 300, None), "short");
    }

    #[test]
    fn last_lines_says_what_it_hides() {
        assert_eq!(last_lines("a\nb\nc\n\n", 2), (vec!["b", "c"], 1));
        assert_eq!(last_lines("", 2), (vec![], 0));
    }

    #[test]
    fn durations_read_well() {
        assert_eq!(duration(0.04), "0.0 s");
        assert_eq!(duration(59.96), "1 min 0 s");
        assert_eq!(duration(125.4), "2 min 5 s");
        assert_eq!(duration(3720.0), "1 h 2 min");
        assert_eq!(duration(f64::NAN), "0.0 s");
    }

    proptest! {
        #[test]
        fn clean_is_idempotent_and_keeps_its_promise(text in "(\\PC|[\\x00-\\x1f]|\x1b[\\[\\]P(]|.){0,80}") {
            let once = clean(&text);
            prop_assert!(once.chars().all(is_plain));
            prop_assert_eq!(clean(&once), once);
        }

        #[test]
        fn cutting_never_panics(text in "\\PC{0,200}", limit in 0usize..300) {
            let cut = cut_middle(&text, limit, None);
            prop_assert!(cut.len() <= limit.max(text.len()) + 100);
        }
    }
}
