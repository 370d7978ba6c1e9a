//! What can be told of a test from its text, for those that are shell scripts.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use kolea_model::{ExternalTest, TestCase};

use crate::problem::Problem;

/// No script is longer; what is, is a program.
const LIMIT: u64 = 1 << 20;
/// The commands that ask for a reboot, in all their forms.
const REBOOTS: [&str; 2] = ["/tmp/autopkgtest-reboot", "/tmp/autopkgtest-soft-reboot"];
const DATA: [&str; 2] = ["$KOLA_EXT_DATA/", "${KOLA_EXT_DATA}/"];

/// The text of a test, or its beginning.
pub(super) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// What is wrong in the script.
pub(super) fn check(
    test: &TestCase,
    external: &ExternalTest,
    bytes: &[u8],
    text: &str,
) -> Vec<Problem> {
    let path = &external.executable;
    let warning = |line: Option<usize>, message: &str| {
        Problem::warning(path, line, message).in_test(&test.name)
    };
    if bytes.is_empty() {
        return vec![warning(None, "is empty, so it passes whatever happens")];
    }
    if bytes.iter().take(1024).any(|byte| *byte == 0) {
        return Vec::new();
    }
    let first = text.lines().next().unwrap_or_default();
    let Some(interpreter) = first.strip_prefix("#!") else {
        return vec![warning(
            Some(1),
            "has no `#!` line, so the guest cannot start it: begin with #!/bin/bash, say",
        )];
    };
    // `lines` has cut it off
    if bytes.get(first.len()) == Some(&b'\r') {
        return vec![warning(
            Some(1),
            "has lines that end as on Windows, so the guest finds no such interpreter: convert it",
        )];
    }
    let mut problems = Vec::new();
    if is_shell(interpreter) {
        if !stops_on_errors(interpreter, text) {
            problems.push(warning(
                Some(1),
                "goes on after a command that fails, so only the last one decides: add `set -euo pipefail`",
            ));
        }
        for (index, line) in code(text) {
            if !test.exclusive && REBOOTS.iter().any(|reboot| line.starts_with(reboot)) {
                let message =
                    "a test on a shared machine must not reboot it: remove `exclusive: false`";
                problems
                    .push(Problem::error(path, Some(index + 1), message).blocking_only(&test.name));
            }
            if let Some(message) = missing_data(external, line) {
                problems.push(warning(Some(index + 1), &message));
            }
        }
    }
    problems
}

/// Lines that are no comments, without what they are indented by, and their numbers from 0.
fn code(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let lines = text.lines().map(str::trim).enumerate();
    lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'))
}

fn is_shell(interpreter: &str) -> bool {
    let words = interpreter.split_whitespace();
    let mut programs = words.filter_map(|word| word.rsplit('/').next());
    let program = match programs.next() {
        Some("env") => programs.find(|word| !word.starts_with('-')),
        program => program,
    };
    matches!(program, Some("sh" | "bash" | "dash" | "ksh"))
}

/// Whether a failing command ends the script, as far as its text tells: what it sources may see to that, too.
fn stops_on_errors(interpreter: &str, text: &str) -> bool {
    let sets = |words: &str| {
        words.split_whitespace().any(|word| {
            let flags = word.strip_prefix('-').unwrap_or_default();
            word == "errexit" || (!flags.starts_with('-') && flags.contains('e'))
        })
    };
    let options = interpreter.split_once(char::is_whitespace);
    if options.is_some_and(|(_, options)| sets(options)) {
        return true;
    }
    // of a single command, the status is the script's
    code(text).nth(1).is_none()
        || code(text).any(|(_, line)| {
            let mut commands = line.split([';', '&', '|']).map(str::trim);
            sourced(line).is_some()
                || commands.any(|command| {
                    let set = command.strip_prefix("set ").is_some_and(sets);
                    set || command.starts_with("exec ")
                })
        })
}

/// What the line sources.
fn sourced(line: &str) -> Option<&str> {
    let file = line
        .strip_prefix(". ")
        .or_else(|| line.strip_prefix("source "))?;
    file.split_whitespace().next()
}

/// A file that is sourced from the data directory and is not there.
fn missing_data(external: &ExternalTest, line: &str) -> Option<String> {
    let file = sourced(line)?.trim_matches(['"', '\'', ';']);
    let file = DATA.iter().find_map(|start| file.strip_prefix(start))?;
    // a name that only the guest can tell
    if file.contains(['$', '*', '?', '`', '"']) {
        return None;
    }
    match &external.data {
        None => Some(format!(
            "sources {file} from its data, and there is no directory `data` beside it"
        )),
        Some(data) if !data.join(file).exists() => Some(format!(
            "sources {file} from its data, where there is no such file"
        )),
        Some(_) => None,
    }
}
