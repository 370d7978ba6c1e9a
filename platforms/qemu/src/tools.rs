//! QEMU's programs: where they are, which version they have, and running them.

use std::ffi::OsStr;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};

use tokio::process::Command;

use crate::QemuError;

/// Finds an executable in `PATH`.
pub fn find(program: &str, package: &'static str) -> Result<PathBuf, QemuError> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|dir| dir.join(program))
        .find(|file| {
            file.metadata()
                .is_ok_and(|data| data.is_file() && data.permissions().mode() & 0o111 != 0)
        })
        .ok_or_else(|| QemuError::NoProgram {
            program: program.to_owned(),
            package,
        })
}

/// Runs a program to its end with nothing to read; it is killed when the future is dropped.
pub async fn output(
    program: &Path,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<Output, QemuError> {
    Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .kill_on_drop(true)
        .output()
        .await
        .map_err(|error| failed(program, error.to_string()))
}

/// An error of a program.
pub fn failed(program: &Path, message: String) -> QemuError {
    QemuError::Program {
        program: program.display().to_string(),
        message,
    }
}

/// The last line of a program's standard error that says something, without the program's name.
pub fn last_words(stderr: &[u8]) -> String {
    let text = String::from_utf8_lossy(stderr);
    let line = text
        .lines()
        .map(str::trim)
        .rfind(|line| !line.is_empty())
        .unwrap_or("no message");
    match line.split_once(": ") {
        Some((name, rest)) if name.starts_with("qemu") && !name.contains(' ') => rest.to_owned(),
        _ => line.to_owned(),
    }
}

/// QEMU's version, such as `10.0.2 (Debian 1:10.0.2+ds-2)`.
pub async fn version(program: &Path) -> Result<String, QemuError> {
    let output = output(program, ["--version"]).await?;
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .next()
        .and_then(|line| line.strip_prefix("QEMU emulator version "))
        .map(str::to_owned)
        .ok_or_else(|| failed(program, last_words(&output.stderr)))
}

/// What identifies the contents of a file without reading it, for cache keys: path, size, modification time, inode.
pub fn fingerprint(path: &Path) -> std::io::Result<String> {
    let data = path.metadata()?;
    Ok(format!(
        "{}|{}|{}.{:09}|{}",
        path.display(),
        data.len(),
        data.mtime(),
        data.mtime_nsec(),
        data.ino()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_line_is_what_went_wrong() {
        let stderr = b"qemu-system-x86_64: warning: a\nqemu-system-x86_64: cannot set up guest memory 'pc.ram'\n\n";
        assert_eq!(last_words(stderr), "cannot set up guest memory 'pc.ram'");
        assert_eq!(last_words(b""), "no message");
    }

    #[test]
    fn a_missing_program_names_its_package() {
        let error = find("qemu-system-pdp11", "qemu-system-misc").unwrap_err();
        assert_eq!(
            error.to_string(),
            "cannot find qemu-system-pdp11 in PATH; install the package qemu-system-misc"
        );
    }
}
