//! Rebasing a machine to another container image of its operating system (`--oscontainer`).

use std::path::Path;

use super::copy::{copy, name_of};
use super::quote;
use crate::{Exec, Machine, MachineError, RunBy};

/// Where an archive goes in the guest.
const FOLDER: &str = "\"${KOLET_ROOT-}\"/var/tmp";
/// How much of an archive is in memory at a time, in bytes.
const PIECE: usize = 16 << 20;
/// How many of the last lines of rpm-ostree's output an error quotes.
const QUOTED: usize = 3;

/// Whether it is a file of the host.
fn is_archive(spec: &str) -> bool {
    spec.ends_with(".ociarchive")
}

/// Whether a machine needs the Internet to be rebased to it: whatever is not an archive on the host.
pub fn needs_internet(spec: &str) -> bool {
    !is_archive(spec)
}

/// What rpm-ostree is told: an archive in the guest, or what it pulls. A spec that says itself how its signature is checked stays
/// as it is.
fn target(spec: &str) -> String {
    if is_archive(spec) {
        let name = name_of(Path::new(spec));
        format!("ostree-unverified-image:oci-archive:/var/tmp/{name}")
    } else if spec.starts_with("ostree-") {
        spec.to_owned()
    } else {
        format!("ostree-unverified-registry:{spec}")
    }
}

/// Rebases the machine to `spec`, a pull spec or an archive on the host (labels `copy`, `rebase`). It takes effect with the next
/// boot.
pub async fn rebase(machine: &dyn Machine, spec: &str) -> Result<(), MachineError> {
    let mut command = format!("rpm-ostree rebase --experimental {}", quote(&target(spec)));
    let host = Path::new(spec);
    if is_archive(spec) {
        copy(machine, host, FOLDER, PIECE).await?;
        // It was imported, and the disk is small.
        command = format!("{command} && rm -f {FOLDER}/{}", quote(&name_of(host)));
    }
    let output = machine
        .exec(Exec {
            label: "rebase",
            command,
            stdin: Vec::new(),
            by: RunBy::Root,
        })
        .await?;
    if output.status == 0 {
        return Ok(());
    }
    let said = format!("{}\n{}", output.stdout_text(), output.stderr_text());
    let mut lines: Vec<&str> = said.lines().map(str::trim).collect();
    lines.retain(|line| !line.is_empty());
    let end = lines.split_off(lines.len().saturating_sub(QUOTED));
    Err(MachineError::Guest(format!(
        "rpm-ostree rebase {} (status {}): {}",
        target(spec),
        output.status,
        if end.is_empty() {
            "it printed nothing".to_owned()
        } else {
            end.join("; ")
        }
    )))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::agent::testing::LocalMachine;

    #[tokio::test]
    async fn a_pull_spec_is_pulled() {
        let machine = LocalMachine::new();
        machine.script("bin/rpm-ostree", "echo \"$*\" >>\"$KOLET_ROOT/log\"");
        for (spec, told) in [
            ("quay.io/x/y:1", "ostree-unverified-registry:quay.io/x/y:1"),
            (
                "ostree-image-signed:docker://q/x",
                "ostree-image-signed:docker://q/x",
            ),
        ] {
            rebase(&machine, spec).await.unwrap();
            let log = machine.log();
            let last = log.lines().last().unwrap();
            assert_eq!(last, format!("rebase --experimental {told}"));
            assert!(needs_internet(spec));
        }
    }

    #[tokio::test]
    async fn an_archive_is_brought_along_and_removed() {
        let machine = LocalMachine::new();
        fs::create_dir_all(machine.path("var/tmp")).unwrap();
        machine.script(
            "bin/rpm-ostree",
            "echo \"$* $(cat \"$KOLET_ROOT\"/var/tmp/os.ociarchive)\" >>\"$KOLET_ROOT/log\"",
        );
        let dir = tempfile::tempdir().unwrap();
        let spec = dir.path().join("os.ociarchive");
        fs::write(&spec, "image").unwrap();
        let spec = spec.to_str().unwrap();
        rebase(&machine, spec).await.unwrap();
        assert_eq!(
            machine.log(),
            "rebase --experimental ostree-unverified-image:oci-archive:/var/tmp/os.ociarchive image\n"
        );
        assert!(!machine.path("var/tmp/os.ociarchive").exists());
        assert!(!needs_internet(spec));
    }

    #[tokio::test]
    async fn a_failure_says_its_last_lines() {
        let machine = LocalMachine::new();
        machine.script(
            "bin/rpm-ostree",
            "echo one; echo two >&2; echo; echo three >&2; echo four >&2; exit 1",
        );
        assert_eq!(
            rebase(&machine, "quay.io/x").await.unwrap_err().to_string(),
            "rpm-ostree rebase ostree-unverified-registry:quay.io/x (status 1): two; three; four"
        );
    }
}
