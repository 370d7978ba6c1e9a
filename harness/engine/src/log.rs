//! A test's output: all of it in a file, its beginning and end in memory.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

/// How much of the beginning, and as much of the end, is kept in memory, in bytes.
const KEPT: usize = 32 << 10;
/// What is kept of a single line, in bytes.
const LONGEST_LINE: usize = 4 << 10;

/// Text of which the middle is left out when it gets long.
#[derive(Debug, Default)]
pub(crate) struct CappedText {
    head: String,
    tail: VecDeque<String>,
    tail_bytes: usize,
    left_out: usize,
}

impl CappedText {
    /// Adds a line.
    pub fn push(&mut self, line: &str) {
        let end = line.floor_char_boundary(LONGEST_LINE);
        let cut = &line[..end];
        if self.tail.is_empty() && self.head.len() + cut.len() < KEPT {
            self.head.push_str(cut);
            self.head
                .push_str(if end < line.len() { "…\n" } else { "\n" });
            return;
        }
        self.tail_bytes += cut.len() + 1;
        self.tail.push_back(cut.to_owned());
        while self.tail_bytes > KEPT {
            let Some(first) = self.tail.pop_front() else {
                break;
            };
            self.tail_bytes -= first.len() + 1;
            self.left_out += 1;
        }
    }

    /// The text, with a note where lines are missing.
    pub fn text(&self) -> String {
        let mut text = self.head.clone();
        if self.left_out > 0 {
            text.push_str(&format!("[… {} lines left out …]\n", self.left_out));
        }
        for line in &self.tail {
            text.push_str(line);
            text.push('\n');
        }
        text
    }
}

/// A test's log.
#[derive(Debug)]
pub(crate) struct TestLog {
    path: PathBuf,
    file: Option<BufWriter<File>>,
    text: CappedText,
    last: String,
}

impl TestLog {
    /// A log whose file will be `<dir>/<test>.txt`. The file is made when the log is opened, or with the first line.
    pub fn new(dir: &Path, test: &str) -> Self {
        TestLog {
            path: dir.join(log_file_name(test)),
            file: None,
            text: CappedText::default(),
            last: String::new(),
        }
    }

    /// Adds a message, which may be several lines. What can't be written to the file is still kept in memory.
    pub fn push(&mut self, message: &str) -> io::Result<()> {
        for line in message.lines() {
            self.text.push(line);
            if !line.trim().is_empty() {
                let end = line.floor_char_boundary(LONGEST_LINE);
                line[..end].clone_into(&mut self.last);
            }
        }
        let file = self.open()?;
        file.write_all(message.as_bytes())?;
        if message.ends_with('\n') {
            Ok(())
        } else {
            file.write_all(b"\n")
        }
    }

    /// The file, made if it is not there yet: a test that printed nothing has an empty log.
    pub fn open(&mut self) -> io::Result<&mut BufWriter<File>> {
        match &mut self.file {
            Some(file) => Ok(file),
            none => Ok(none.insert(BufWriter::new(File::create(&self.path)?))),
        }
    }

    /// Writes out what is buffered.
    pub fn flush(&mut self) -> io::Result<()> {
        self.file.as_mut().map_or(Ok(()), Write::flush)
    }

    /// The beginning and the end of it.
    pub fn text(&self) -> String {
        self.text.text()
    }

    /// The last line with anything in it; empty if there is none.
    pub fn last_line(&self) -> &str {
        &self.last
    }

    /// Its file.
    pub fn path(&self) -> &Path {
        &self.path
    }
}

/// The name of a test's log in its machine's directory.
pub(crate) fn log_file_name(test: &str) -> String {
    format!("{}.txt", test.replace('/', "-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_text_is_kept_as_it_is() {
        let mut text = CappedText::default();
        text.push("one");
        text.push("");
        text.push("three");
        assert_eq!(text.text(), "one\n\nthree\n");
    }

    #[test]
    fn long_text_loses_its_middle() {
        let mut text = CappedText::default();
        for number in 0..100_000 {
            text.push(&format!("line {number}"));
        }
        text.push(&"ä".repeat(1 << 20));
        let all = text.text();
        assert!(all.starts_with("line 0\nline 1\n"));
        assert!(all.contains("line 99999\n"));
        assert!(all.contains(" lines left out "));
        assert!(all.len() < 3 * KEPT);
    }

    #[test]
    fn the_file_has_everything_and_the_last_line_is_not_blank() {
        let dir = tempfile::tempdir().unwrap();
        let mut log = TestLog::new(dir.path(), "ext.core/a");
        assert_eq!(log.last_line(), "");
        log.push("first\nsecond").unwrap();
        log.push("  ").unwrap();
        log.flush().unwrap();
        assert_eq!(log.last_line(), "second");
        assert_eq!(log.path(), dir.path().join("ext.core-a.txt"));
        assert_eq!(
            std::fs::read_to_string(log.path()).unwrap(),
            "first\nsecond\n  \n"
        );
    }
}
