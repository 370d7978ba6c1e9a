//! The reports' files.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use crate::{Record, ReportError, junit, report_json, tap};

/// Where the reports are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrittenReports {
    /// `junit.xml`.
    pub junit: PathBuf,
    /// `test.tap`.
    pub tap: PathBuf,
    /// `reports/report.json`.
    pub json: PathBuf,
}

/// Write all reports of a run below `dir`, its output directory. Each file is replaced in one step: nobody ever reads
/// half a report. All are tried; the first error is returned.
pub fn write_all(dir: &Path, record: &Record) -> Result<WrittenReports, ReportError> {
    let written = WrittenReports {
        junit: dir.join("junit.xml"),
        tap: dir.join("test.tap"),
        json: dir.join("reports").join("report.json"),
    };
    // One after the other, so that only one is in memory.
    let absolute = std::path::absolute(dir).unwrap_or_else(|_| dir.to_owned());
    let first = junit(record, &absolute).and_then(|text| replace(&written.junit, &text));
    let second = replace(&written.tap, &tap(record));
    let third = report_json(record).and_then(|text| replace(&written.json, &text));
    first.and(second).and(third).map(|()| written)
}

/// Put `text` in the place of `path`.
pub(crate) fn replace(path: &Path, text: &str) -> Result<(), ReportError> {
    let mut temporary = path.as_os_str().to_owned();
    temporary.push(format!(".{}.tmp", std::process::id()));
    let temporary = PathBuf::from(temporary);
    let result = (|| {
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent)?;
        }
        let mut file = fs::File::create(&temporary)?;
        file.write_all(text.as_bytes())?;
        fs::rename(&temporary, path)
    })();
    result.map_err(|source| {
        // It may not exist, or the disk may be beyond help; the first error is the one to tell.
        let _ = fs::remove_file(&temporary);
        ReportError::Write {
            path: path.to_owned(),
            source,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reports_are_replaced_and_nothing_else_is_left() {
        let dir = tempfile::tempdir().unwrap();
        let record = Record::from_events(&[]);
        write_all(dir.path(), &record).unwrap();
        let written = write_all(dir.path(), &record).unwrap();
        assert!(written.junit.is_file() && written.tap.is_file() && written.json.is_file());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 3);
    }

    #[test]
    fn one_bad_place_does_not_keep_the_others_from_being_written() {
        let dir = tempfile::tempdir().unwrap();
        fs::create_dir(dir.path().join("test.tap")).unwrap();
        let error = write_all(dir.path(), &Record::from_events(&[])).unwrap_err();
        assert!(error.to_string().contains("test.tap"), "{error}");
        assert!(dir.path().join("reports/report.json").is_file());
    }
}
