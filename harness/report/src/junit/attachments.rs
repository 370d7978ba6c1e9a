//! The lines by which Jenkins's attachments plugin finds a test's files.

use std::fmt::Write as _;
use std::path::{Component, Path};

use super::machines_of;
use crate::record::{AttemptRecord, MachineRecord, Record};
use crate::text;

/// The lines that make Jenkins keep an attempt's files.
pub(super) fn attachments(out: &mut String, record: &Record, attempt: &AttemptRecord, dir: &Path) {
    for path in attempt.artifacts.values() {
        attachment(out, dir, path);
    }
    // An attempt that never ended has no artefacts of its own, but its machines have.
    if attempt.artifacts.is_empty() {
        for machine in machines_of(record, attempt) {
            machine_attachments(out, machine, dir);
        }
    }
}

pub(super) fn machine_attachments(out: &mut String, machine: &MachineRecord, dir: &Path) {
    if machine.dir.as_os_str().is_empty() {
        return;
    }
    for file in ["console.txt", "journal.txt"] {
        attachment(out, dir, &machine.dir.join(file));
    }
}

/// One file below `dir`. Events may come from another machine: a path that leaves the directory is not followed, nor
/// one that would need escaping (no name that kolea gives does).
fn attachment(out: &mut String, dir: &Path, path: &Path) {
    let inside = path
        .components()
        .all(|part| matches!(part, Component::Normal(_)));
    let path = dir.join(path);
    let path = path.to_string_lossy();
    if inside && !path.contains(['\n', ']', '|']) && text::clean(&path) == path {
        let _infallible = writeln!(out, "[[ATTACHMENT|{path}]]");
    }
}
