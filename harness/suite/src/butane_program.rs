//! A `butane` program that translates configs instead of kolea (`--butane-program`).

use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::config::{Rendered, checked};
use crate::problem::{Note, Severity};

/// Runs `PROGRAM --raw [--files-dir DIR]` with the config as its standard input. What it writes to standard error are
/// errors if it fails, and warnings otherwise.
pub(crate) fn translate(program: &Path, config: &Path, files_dir: Option<&Path>) -> Rendered {
    let failed = |message: String| Rendered {
        text: None,
        notes: vec![Note::error(0, message)],
    };
    let input = match File::open(config) {
        Ok(input) => input,
        Err(error) => return failed(format!("cannot be read: {error}")),
    };
    let mut command = Command::new(program);
    command.arg("--raw");
    if let Some(dir) = files_dir {
        command.arg("--files-dir").arg(dir);
    }
    let output = match command.stdin(Stdio::from(input)).output() {
        Ok(output) => output,
        Err(error) => {
            let program = program.display();
            return failed(format!(
                "cannot be translated, since {program} cannot be run: {error}; check --butane-program"
            ));
        }
    };
    let succeeded = output.status.success();
    let said = String::from_utf8_lossy(&output.stderr);
    let lines = said.lines().map(str::trim).filter(|line| !line.is_empty());
    let mut notes: Vec<Note> = lines.map(|line| note(line, succeeded)).collect();
    if !succeeded {
        let error = |note: &Note| note.severity == Severity::Error;
        if !notes.iter().any(error) {
            let program = program.display();
            let message = format!(
                "{program} cannot translate it and does not say why: {}",
                output.status
            );
            notes.push(Note::error(0, message));
        }
        return Rendered { text: None, notes };
    }
    let mut rendered = match String::from_utf8(output.stdout) {
        Ok(text) => checked(text),
        Err(_) => failed(format!(
            "{} gave something that is not UTF-8",
            program.display()
        )),
    };
    for note in &mut rendered.notes {
        // the place is in what the program wrote, which nobody sees
        (note.line, note.column) = (0, None);
        note.message = format!("what {} made of it: {}", program.display(), note.message);
    }
    rendered.notes.extend(notes);
    rendered
}

/// A line such as `warning at $.storage.files.0, line 3 col 5: unused key`.
fn note(line: &str, succeeded: bool) -> Note {
    let lower = line.to_ascii_lowercase();
    let severity = if succeeded || lower.starts_with("warning") {
        Severity::Warning
    } else {
        Severity::Error
    };
    let place = line.split_once(", line ").and_then(|(_, rest)| {
        let (number, rest) = rest.split_once(" col ")?;
        let column = rest.split(':').next()?;
        Some((number.parse().ok()?, column.parse().ok()?))
    });
    let (number, column) = match place {
        Some((number, column)) => (number, Some(column)),
        None => (0, None),
    };
    Note {
        severity,
        line: number,
        column,
        message: line.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    const GOOD: &str = r#"{"ignition": {"version": "3.4.0"}}"#;

    /// What comes of a config if the program is this shell script.
    fn translated(script: &str) -> Rendered {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("butane");
        std::fs::write(&program, format!("#!/bin/sh\n{script}\n")).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        let config = dir.path().join("config.bu");
        std::fs::write(&config, "variant: fcos\n").unwrap();
        // a program that another thread's fork still holds open for writing cannot be run
        for _ in 0..100 {
            let rendered = translate(&program, &config, Some(dir.path()));
            if !rendered
                .notes
                .iter()
                .any(|note| note.message.contains("busy"))
            {
                return rendered;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
        panic!("the program is busy for ever");
    }

    #[test]
    fn the_program_gets_the_config_and_the_directory() {
        let rendered = translated(&format!(
            "[ \"$1 $2\" = '--raw --files-dir' ] && [ -f \"$3/config.bu\" ] && grep -q 'variant: fcos' && echo '{GOOD}'"
        ));
        assert_eq!(rendered.notes, []);
        assert_eq!(rendered.text.unwrap().trim(), GOOD);
    }

    #[test]
    fn what_it_says_is_told_with_its_place() {
        let said = "warning at $.storage.x, line 3 col 5: unused key x";
        let rendered = translated(&format!("echo '{said}' >&2; echo '{GOOD}'"));
        assert!(rendered.text.is_some());
        let note = &rendered.notes[0];
        assert_eq!(
            (note.severity, note.line, note.column),
            (Severity::Warning, 3, Some(5))
        );
        let rendered = translated(&format!("echo '{said}' >&2; echo 'error: no' >&2; exit 1"));
        assert_eq!(rendered.text, None);
        let severities: Vec<_> = rendered.notes.iter().map(|note| note.severity).collect();
        assert_eq!(severities, [Severity::Warning, Severity::Error]);
    }

    #[test]
    fn faults_of_the_program_are_errors() {
        for (script, part) in [
            ("exit 3", "does not say why"),
            ("echo no JSON", "not valid JSON"),
            ("printf '\\377'", "not UTF-8"),
        ] {
            let rendered = translated(script);
            assert_eq!(rendered.text, None, "{script}");
            let message = &rendered.notes[0].message;
            assert!(message.contains(part), "{script}: {message}");
        }
        let missing = translate(
            Path::new("/nonexistent/butane"),
            Path::new("/dev/null"),
            None,
        );
        assert!(missing.notes[0].message.contains("check --butane-program"));
    }
}
