//! What the command's end-to-end tests share.

#![allow(dead_code, reason = "each test program uses its own part")]

pub mod facts;
pub mod live;

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// The `kolea` that was built with these tests.
pub fn kolea() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kolea"));
    command.env_remove("KOLEA_LOG").env("NO_COLOR", "1");
    command
}

/// The repository.
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

/// The fixture image; missing means that the tests can't be run, which is a failure.
pub fn fixture() -> PathBuf {
    built("x86_64", "")
}

/// The fixture image for an architecture.
pub fn fixture_of(arch: &str) -> PathBuf {
    built(arch, &format!(" --arch {arch}"))
}

/// The fixture image for sectors of 4096 bytes.
pub fn fixture_4k() -> PathBuf {
    built("x86_64-4k", " --sectors 4096")
}

/// The fixture's variant without Ignition.
pub fn fixture_cloud() -> PathBuf {
    built("x86_64-cloud", " --variant cloud")
}

fn built(name: &str, options: &str) -> PathBuf {
    let image = repository().join(format!("target/fixtures/fixture-{name}.qcow2"));
    assert!(
        image.exists(),
        "{} is missing: run fixtures/build{options}",
        image.display()
    );
    image
}

/// The fixture's live ISO.
pub fn fixture_iso() -> PathBuf {
    let iso = fixture().with_extension("iso");
    assert!(
        iso.exists(),
        "{} is missing: run fixtures/build --iso",
        iso.display()
    );
    iso
}

/// The fixture's profile.
pub fn profile() -> PathBuf {
    repository().join("fixtures/profile.toml")
}

/// Writes an executable external test to `<tree>/tests/kola/<path>`.
pub fn write_test(tree: &Path, path: &str, header: &str, body: &str) {
    let text = format!("#!/bin/bash\n{header}\n\n{body}\n");
    let file = write_file(tree, path, &text);
    std::fs::set_permissions(file, std::fs::Permissions::from_mode(0o755)).unwrap();
}

/// Writes a file to `<tree>/tests/kola/<path>`.
pub fn write_file(tree: &Path, path: &str, text: &str) -> PathBuf {
    let file = tree.join("tests/kola").join(path);
    std::fs::create_dir_all(file.parent().unwrap()).unwrap();
    std::fs::write(&file, text).unwrap();
    file
}

/// Standard output and standard error.
pub fn texts(output: &Output) -> (String, String) {
    (
        String::from_utf8_lossy(&output.stdout).into_owned(),
        String::from_utf8_lossy(&output.stderr).into_owned(),
    )
}
