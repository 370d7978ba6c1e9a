//! The metadata block at the head of a test's executable, found by kola's rules. What those rules lose without a word
//! is reported here.

use std::io::{self, Read};

use crate::problem::Note;
use crate::schema;

/// kola looks no further than this.
const KOLA_LIMIT: usize = 8192;
/// We look no further than this.
const LIMIT: usize = 256 * 1024;
const JSON_MARK: &str = "# kola:";
const YAML_MARK: &str = "## kola:";
const YAML_LINE: &str = "## ";

/// The text of a block.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block {
    /// The rest of the line after `# kola:`.
    Json { line: usize, text: String },
    /// The lines after `## kola:`, without their first three bytes; `line` is that of the first of them.
    Yaml { line: usize, text: String },
}

/// What an executable's head says.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Header {
    pub block: Option<Block>,
    pub notes: Vec<Note>,
}

/// Reads the head of `file`: 8 KiB, and more only while a header of comments goes on beyond that.
pub(crate) fn read(file: &mut impl Read) -> io::Result<Header> {
    let mut bytes = Vec::with_capacity(KOLA_LIMIT);
    file.take(KOLA_LIMIT as u64).read_to_end(&mut bytes)?;
    if bytes.len() == KOLA_LIMIT && goes_on(&bytes) {
        file.take((LIMIT - KOLA_LIMIT) as u64)
            .read_to_end(&mut bytes)?;
    }
    Ok(scan(&bytes))
}

fn is_comment(line: &[u8]) -> bool {
    line.first().is_none_or(|first| *first == b'#') || line.trim_ascii().is_empty()
}

/// Whether the text so far is comments only, or its end is inside a block.
fn goes_on(bytes: &[u8]) -> bool {
    let mut comments_only = true;
    let mut open = false;
    for line in bytes.split(|byte| *byte == b'\n') {
        comments_only &= is_comment(line);
        open = line.starts_with(b"## ") && (open || line.starts_with(YAML_MARK.as_bytes()));
    }
    // the last line may be cut inside its first three bytes
    open || comments_only || b"## ".starts_with(last_line(bytes))
}

fn is_mark(line: &[u8]) -> bool {
    line.starts_with(JSON_MARK.as_bytes()) || line.starts_with(YAML_MARK.as_bytes())
}

fn last_line(bytes: &[u8]) -> &[u8] {
    bytes.rsplit(|byte| *byte == b'\n').next().unwrap_or(bytes)
}

/// The metadata key that a text begins with, such as `tags` in `  tags: a`.
fn leading_key(text: &[u8]) -> Option<&'static str> {
    let (key, _) = std::str::from_utf8(text).ok()?.split_once(':')?;
    schema::find(key.trim()).map(|key| key.name)
}

/// An open YAML block.
struct Open {
    mark_line: usize,
    text: Vec<u8>,
}

#[derive(Default)]
struct Scan {
    header: Header,
    open: Option<Open>,
    lost: bool,
    resembled: bool,
}

impl Scan {
    fn error(&mut self, line: usize, message: impl Into<String>) {
        self.header.notes.push(Note::error(line, message));
    }

    fn warning(&mut self, line: usize, message: impl Into<String>) {
        self.header.notes.push(Note::warning(line, message));
    }

    fn text(&mut self, line: usize, bytes: &[u8]) -> String {
        match std::str::from_utf8(bytes) {
            Ok(text) => text.to_owned(),
            Err(_) => {
                self.error(line, "the metadata is not valid UTF-8");
                String::from_utf8_lossy(bytes).into_owned()
            }
        }
    }

    /// Takes a line while no block is complete. Gives false where nothing that follows can matter.
    fn before(&mut self, number: usize, line: &[u8], ended: bool) {
        if let Some(json) = line.strip_prefix(JSON_MARK.as_bytes()) {
            if self.open.take().is_some() {
                self.error(number,
                    "found both a `# kola:` (JSON) line and a `## kola:` (YAML) block: keep one of them",
                );
            }
            if !ended {
                self.warning(number,
                    "the metadata is the last line and has no newline, so kola ignores it: end the line",
                );
            }
            let text = self.text(number, json);
            self.header.block = Some(Block::Json { line: number, text });
        } else if let Some(rest) = line.strip_prefix(YAML_MARK.as_bytes()) {
            if self.open.is_some() {
                self.error(number, "found a second `## kola:` line: keep one block");
                return;
            }
            if !rest.trim_ascii().is_empty() {
                self.warning(
                    number,
                    "text after `## kola:` is ignored: put the keys on the following `## ` lines",
                );
            }
            self.open = Some(Open {
                mark_line: number,
                text: Vec::new(),
            });
        } else if let Some(mut open) = self.open.take() {
            match line.strip_prefix(YAML_LINE.as_bytes()) {
                Some(text) if ended => {
                    open.text.extend_from_slice(text);
                    open.text.push(b'\n');
                    self.open = Some(open);
                }
                None if ended => {
                    self.closing(number, line);
                    let text = self.text(open.mark_line, &open.text);
                    self.header.block = Some(Block::Yaml {
                        line: open.mark_line + 1,
                        text,
                    });
                }
                // the block is still open when the file ends
                _ => self.open = Some(open),
            }
        }
    }

    /// Looks at the line that closes a YAML block: `##tags: x` and `#  tags: x` were meant to be in it.
    fn closing(&mut self, number: usize, line: &[u8]) {
        let hashes = line.iter().take_while(|byte| **byte == b'#').count();
        if hashes == 0 {
            return;
        }
        let Some(key) = leading_key(&line[hashes..]) else {
            return;
        };
        let message = format!(
            "`{key}` is lost: a line of the metadata block must start with `## `, and this one closes it"
        );
        // `# description: …` may be prose
        if line.starts_with(b"##") {
            self.error(number, message);
        } else {
            self.warning(number, message);
        }
    }

    /// Warns of a comment that was meant to be the start of the metadata and is not.
    fn resembling(&mut self, number: usize, line: &[u8]) {
        let text = line.trim_ascii_start();
        let hashes = text.iter().take_while(|byte| **byte == b'#').count();
        let words = text[hashes..].trim_ascii_start();
        let named = words
            .get(..4)
            .is_some_and(|word| word.eq_ignore_ascii_case(b"kola"))
            && words[4..].trim_ascii_start().starts_with(b":");
        if named && text.starts_with(b"#") && !self.resembled {
            self.resembled = true;
            self.warning(
                number,
                "this looks like metadata and is not read: a block starts with `## kola:` (YAML) or `# kola:` (JSON), exactly so",
            );
        }
    }

    /// Takes a line that follows the block; gives false when the header is over.
    fn after(&mut self, number: usize, line: &[u8]) -> bool {
        if !is_comment(line) {
            return false;
        }
        if is_mark(line) {
            self.warning(
                number,
                "this is a second metadata block and is ignored: merge it into the first",
            );
            return false;
        }
        let Some(text) = line.strip_prefix(YAML_LINE.as_bytes()) else {
            return true;
        };
        if let Some(key) = leading_key(text)
            && !self.lost
            && matches!(self.header.block, Some(Block::Yaml { .. }))
        {
            self.lost = true;
            self.error(number,
                format!(
                    "`{key}` is lost: the first line that does not start with `## ` (a bare `##` too) closes the metadata block; remove the line before it"
                ),
            );
        }
        true
    }
}

/// Finds the block in the bytes that were read.
pub(crate) fn scan(bytes: &[u8]) -> Header {
    let mut scan = Scan::default();
    let mut comments_only = true;
    let mut end = 0;
    for (index, line) in bytes.split(|byte| *byte == b'\n').enumerate() {
        let number = index + 1;
        end += line.len() + 1;
        let ended = end <= bytes.len();
        if scan.header.block.is_some() {
            if !scan.after(number, line) {
                break;
            }
            continue;
        }
        let was_open = scan.open.is_some();
        if comments_only && !was_open && !is_mark(line) {
            scan.resembling(number, line);
        }
        comments_only &= is_comment(line);
        if end > KOLA_LIMIT && !was_open && !comments_only {
            break;
        }
        scan.before(number, line, ended);
        if scan.header.block.is_some() && end > KOLA_LIMIT && ended {
            scan.warning(number,
                format!(
                    "the metadata ends beyond the first {KOLA_LIMIT} bytes, where kola does not look: move it up"
                ),
            );
        }
    }
    if let Some(open) = scan.open.take() {
        scan.error(
            open.mark_line,
            "the metadata block is never closed, so kola ignores it: end it with an empty line",
        );
        let text = scan.text(open.mark_line, &open.text);
        scan.header.block = Some(Block::Yaml {
            line: open.mark_line + 1,
            text,
        });
    }
    scan.header
}

#[cfg(test)]
#[path = "header_tests.rs"]
mod tests;
