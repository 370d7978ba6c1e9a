//! Bad input gets one clear line and exit status 2 (4 for "no test"), before any machine boots and any file is written.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::path::Path;
use std::process::{Output, Stdio};

use support::{fixture, kolea, repository, texts, write_file, write_test};

/// Runs `kolea run` with an output directory that must not appear, and returns what it said on standard error.
fn refused(status: i32, arguments: &[&str]) -> String {
    let temp = tempfile::tempdir().unwrap();
    let out = temp.path().join("out");
    let output = kolea()
        .arg("run")
        .args(arguments)
        .arg("--output-dir")
        .arg(&out)
        .output()
        .unwrap();
    let stderr = expect_status(status, &output);
    assert!(
        !out.exists(),
        "an output directory was made for {arguments:?}"
    );
    stderr
}

fn expect_status(status: i32, output: &Output) -> String {
    let (stdout, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(status), "{stdout}{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    stderr
}

fn trivial_tree() -> tempfile::TempDir {
    let tree = tempfile::tempdir().unwrap();
    write_test(tree.path(), "trivial", "", "true");
    tree
}

fn refused_image(image: &Path) -> String {
    let tree = trivial_tree();
    refused(
        2,
        &[
            "--qemu-image",
            image.to_str().unwrap(),
            "-E",
            tree.path().to_str().unwrap(),
        ],
    )
}

#[test]
fn images_that_cannot_boot() {
    let temp = tempfile::tempdir().unwrap();
    let missing = temp.path().join("missing.qcow2");
    assert!(refused_image(&missing).contains("missing.qcow2"));

    let empty = temp.path().join("empty.qcow2");
    std::fs::write(&empty, "").unwrap();
    assert!(refused_image(&empty).contains("empty"));

    let text = temp.path().join("text.qcow2");
    std::fs::write(&text, "this is not an image\n".repeat(1000)).unwrap();
    assert!(refused_image(&text).contains("not"));

    let truncated = temp.path().join("truncated.qcow2");
    let whole = std::fs::read(fixture()).unwrap();
    std::fs::write(&truncated, &whole[..whole.len() / 2]).unwrap();
    assert!(refused_image(&truncated).contains("truncated"));

    assert!(refused_image(temp.path()).contains("directory"));
}

/// A disk without partitions has no boot file system to write to, whoever asks for it.
#[test]
fn images_without_a_boot_partition() {
    let temp = tempfile::tempdir().unwrap();
    let image = temp.path().join("plain.raw");
    let mut bytes = vec![0; 1 << 20];
    bytes[510..512].copy_from_slice(&[0x55, 0xaa]);
    std::fs::write(&image, bytes).unwrap();
    let image = image.to_str().unwrap();
    for words in [
        ["qemuexec", image, "--inject-ignition", "-x=true"],
        ["qemuexec", image, "--kargs=debug", "-x=true"],
    ] {
        let output = kolea()
            .args(words)
            .arg("--output-dir")
            .arg(temp.path().join("out"))
            .output()
            .unwrap();
        let stderr = expect_status(2, &output);
        assert!(stderr.contains("it has no GPT"), "{words:?}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{words:?}: {stderr}");
    }
}

/// `kolea run` on the fixture without what this host has: firmware with keys for Secure Boot, which empty descriptors in the
/// user's directory hide, and swtpm.
fn on_a_poor_host(arguments: &[&str]) -> Output {
    let temp = tempfile::tempdir().unwrap();
    let (hidden, programs) = (temp.path().join("qemu/firmware"), temp.path().join("bin"));
    std::fs::create_dir_all(&hidden).unwrap();
    std::fs::create_dir(&programs).unwrap();
    let mut enrolled = 0;
    for entry in std::fs::read_dir("/usr/share/qemu/firmware").unwrap() {
        let path = entry.unwrap().path();
        if std::fs::read_to_string(&path)
            .unwrap()
            .contains("enrolled-keys")
        {
            std::fs::write(hidden.join(path.file_name().unwrap()), "").unwrap();
            enrolled += 1;
        }
    }
    assert!(
        enrolled > 0,
        "this host has no firmware with keys (package ovmf)"
    );
    for name in ["qemu-system-x86_64", "qemu-img"] {
        let path = std::env::var_os("PATH").unwrap();
        let mut found = std::env::split_paths(&path).map(|dir| dir.join(name));
        let program = found.find(|program| program.is_file()).unwrap();
        std::os::unix::fs::symlink(program, programs.join(name)).unwrap();
    }
    kolea()
        .env("XDG_CONFIG_HOME", temp.path())
        .env("PATH", &programs)
        .args(["run", "--output-dir", "/proc/nowhere", "--qemu-image"])
        .arg(fixture())
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn firmware_and_a_tpm_that_this_host_does_not_have() {
    const MISSING: &str = "this host has no UEFI firmware that enforces Secure Boot for x86_64 machines of type pc-q35-";
    const PACKAGE: &str = "install the package ovmf (Debian) or edk2-ovmf (Fedora)\n";
    let told = |status: i32, arguments: &[&str]| {
        let stderr = expect_status(status, &on_a_poor_host(arguments));
        assert!(
            stderr.contains(MISSING) && stderr.contains(PACKAGE),
            "{stderr}"
        );
        stderr
    };
    let stderr = told(2, &["--qemu-firmware", "uefi-secure", "basic"]);
    assert!(
        stderr.contains("kolea: cannot use the firmware: this"),
        "{stderr}"
    );
    // By name it has to run, and otherwise it is skipped.
    let stderr = told(2, &["basic.uefi-secure"]);
    assert!(
        stderr.contains("kolea: basic.uefi-secure: this"),
        "{stderr}"
    );
    let stderr = told(0, &["--dry-run", "basic*"]);
    assert!(
        stderr.contains("firmware uefi-secure on this host (1)"),
        "{stderr}"
    );

    let required = on_a_poor_host(&["--qemu-swtpm", "basic"]);
    let stderr = expect_status(2, &required);
    assert!(
        stderr.contains("kolea: cannot give machines a TPM: ") && stderr.contains("swtpm"),
        "{stderr}"
    );
    // Nobody asked for one: the run goes on, as far as an output directory that cannot be.
    let stderr = expect_status(2, &on_a_poor_host(&["basic"]));
    assert!(stderr.contains("machines have no TPM: "), "{stderr}");
    assert!(stderr.contains("/proc/nowhere"), "{stderr}");
    let stderr = expect_status(2, &on_a_poor_host(&["--qemu-swtpm=false", "basic"]));
    assert!(!stderr.contains("TPM"), "{stderr}");
}

#[test]
fn no_image_no_qemu_wrong_architecture() {
    let tree = trivial_tree();
    let tree = tree.path().to_str().unwrap();
    assert!(refused(2, &["-E", tree]).contains("no image"));

    let image = fixture();
    let temp = tempfile::tempdir().unwrap();
    for (arch, program, package) in [
        ("x86_64", "qemu-system-x86_64", "qemu-system-x86"),
        ("aarch64", "qemu-system-aarch64", "qemu-system-arm"),
        ("ppc64le", "qemu-system-ppc64", "qemu-system-ppc"),
        ("s390x", "qemu-system-s390x", "qemu-system-s390x"),
    ] {
        let output = kolea()
            .args(["run", "-E", tree, "--arch", arch, "--qemu-image"])
            .arg(&image)
            .args(["--output-dir", "out"])
            .current_dir(temp.path())
            .env("PATH", "/nonexistent")
            .output()
            .unwrap();
        let stderr = expect_status(2, &output);
        let missing = format!("cannot find {program} in PATH; install the package {package}");
        assert!(stderr.contains(&missing), "{stderr}");
    }

    let image = image.to_str().unwrap();
    let stderr = refused(2, &["-E", tree, "--qemu-image", image, "--arch", "vax"]);
    assert!(stderr.contains("vax"), "{stderr}");
    let stderr = refused(2, &["-E", tree, "--qemu-image", image, "--qemu-native-4k"]);
    assert!(
        stderr.contains("for sectors of 512 bytes") && stderr.contains("sectors of 4096 bytes;"),
        "{stderr}"
    );
    let stderr = refused(2, &["-E", tree, "--qemu-image", image, "-b", "beos"]);
    assert!(
        stderr.contains("beos") && stderr.contains("nestos"),
        "{stderr}"
    );
    let stderr = refused(2, &["-E", tree, "--qemu-image", image, "-p", "aws"]);
    assert!(stderr.contains("aws"), "{stderr}");
}

#[test]
fn patterns_that_match_nothing_name_what_is_close() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("core");
    write_test(&dir, "reboot", "", "true");
    write_test(&dir, "network", "", "true");
    let dir = dir.to_str().unwrap();
    let stderr = refused(4, &["-E", dir, "image.qcow2", "ext.core.rebot"]);
    assert!(stderr.contains("ext.core.reboot"), "{stderr}");
    let stderr = refused(2, &["-E", dir, "image.qcow2", "ext.core.[a"]);
    assert!(stderr.contains("[a"), "{stderr}");
}

#[test]
fn all_problems_of_a_tree_at_once_with_file_and_line() {
    let tree = repository().join("tests-external/broken");
    let stderr = refused(2, &["-E", tree.to_str().unwrap(), "image.qcow2"]);
    let problems: Vec<&str> = stderr
        .lines()
        .filter(|line| line.contains(": error: "))
        .collect();
    assert!(problems.len() >= 5, "{stderr}");
    assert!(
        problems
            .iter()
            .all(|line| line.contains("tests-external/broken")),
        "{stderr}"
    );
    assert!(stderr.contains("nothing was booted"), "{stderr}");
}

#[test]
fn a_hosts_directory_that_is_missing_is_found_before_boot() {
    let tree = tempfile::tempdir().unwrap();
    let header =
        "## kola:\n##   exclusive: true\n##   bindMountHostRO: [\"/no/such/directory,/srv\"]";
    write_test(tree.path(), "mounting", header, "true");
    let stderr = refused(
        2,
        &[
            "--qemu-image",
            fixture().to_str().unwrap(),
            "-E",
            tree.path().to_str().unwrap(),
        ],
    );
    assert!(stderr.contains(".mounting: bindMountHostRO: "), "{stderr}");
    assert!(stderr.contains("no such directory"), "{stderr}");
}

#[test]
fn invalid_ignition_is_found_before_boot() {
    let tree = tempfile::tempdir().unwrap();
    write_test(tree.path(), "a/test", "", "true");
    write_file(
        tree.path(),
        "a/config.ign",
        r#"{"ignition": {"version": "3.0.0"}, "storage": {"files": [{"path": 7}]}}"#,
    );
    let stderr = refused(2, &["-E", tree.path().to_str().unwrap(), "image.qcow2"]);
    assert!(
        stderr.contains("config.ign") && stderr.contains("Ignition"),
        "{stderr}"
    );
}

#[test]
fn output_directories_that_must_not_be_touched() {
    let tree = trivial_tree();
    let foreign = tempfile::tempdir().unwrap();
    std::fs::write(foreign.path().join("thesis.txt"), "precious").unwrap();
    let output = kolea()
        .args(["run", "--qemu-image"])
        .arg(fixture())
        .arg("-E")
        .arg(tree.path())
        .arg("--output-dir")
        .arg(foreign.path())
        .output()
        .unwrap();
    assert!(expect_status(2, &output).contains("not empty"));
    assert!(foreign.path().join("thesis.txt").exists());

    let output = kolea()
        .args(["run", "--qemu-image"])
        .arg(fixture())
        .arg("-E")
        .arg(tree.path())
        .args(["--output-dir", "/proc/kolea"])
        .output()
        .unwrap();
    assert!(expect_status(2, &output).contains("/proc/kolea"));
}

#[test]
fn the_plan_can_be_seen_without_an_image() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("core");
    let shared = "## kola:\n##   exclusive: false";
    write_test(&dir, "a", shared, "true");
    write_test(&dir, "b", shared, "true");
    write_test(&dir, "alone", "", "true");
    write_test(&dir, "elsewhere", "## kola:\n##   platforms: aws", "true");
    let output = kolea()
        .args(["run", "--dry-run", "-E"])
        .arg(&dir)
        .arg("ext.*")
        .output()
        .unwrap();
    expect_status(0, &output);
    let (stdout, _) = texts(&output);
    assert!(stdout.contains("3 tests on 2 machines"), "{stdout}");
    assert!(
        stdout.contains("non-exclusive-test-bucket-0\n    ext.core.a\n    ext.core.b\n"),
        "{stdout}"
    );
    assert!(
        stdout.contains("ext.core.elsewhere: not applicable: platforms: aws"),
        "{stdout}"
    );
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let tree = trivial_tree();
    let mut child = kolea()
        .args(["run", "--dry-run", "-E"])
        .arg(tree.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    expect_status(0, &child.wait_with_output().unwrap());
}

#[test]
fn what_is_denied_need_not_be_readable() {
    let tree = tempfile::tempdir().unwrap();
    let dir = tree.path().join("t");
    write_test(&dir, "good", "", "true");
    write_test(&dir, "bad", "## kola:\n##   tagz: x", "true");
    let plan = |denied: &str| {
        kolea()
            .args(["run", "--dry-run", "--denylist-test", denied, "-E"])
            .arg(&dir)
            .output()
            .unwrap()
    };
    expect_status(2, &plan("ext.t.other*"));
    expect_status(0, &plan("ext.t.bad"));

    write_file(&dir, "sick/config.ign", "{");
    write_test(&dir, "sick/test.sh", "", "true");
    let output = kolea()
        .args(["list", "--why", "-E"])
        .arg(&dir)
        .output()
        .unwrap();
    let (table, _) = texts(&output);
    let line = table.lines().find(|line| line.starts_with("ext.t.sick"));
    assert!(line.unwrap().contains("error"), "{table}");
}

#[test]
fn lists_are_for_people_and_for_programs() {
    let tree = repository().join("tests-external/core");
    let output = kolea().args(["list", "-E"]).arg(&tree).output().unwrap();
    expect_status(0, &output);
    let (table, _) = texts(&output);
    assert!(
        table.lines().any(|line| line.starts_with("basic\t")),
        "{table}"
    );

    let output = kolea()
        .args(["list", "--json", "-E"])
        .arg(&tree)
        .output()
        .unwrap();
    let (json, _) = texts(&output);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&json).unwrap();
    let external = rows
        .iter()
        .filter(|row| row["Name"].as_str().unwrap().starts_with("ext.core."));
    assert!(external.clone().count() >= 15);
    for row in external {
        assert!(
            row["Tags"]
                .as_array()
                .unwrap()
                .iter()
                .any(|tag| tag == "external")
        );
        assert_ne!(row["Description"], "");
    }
}

#[test]
fn reports_of_what_never_ran() {
    let temp = tempfile::tempdir().unwrap();
    let output = kolea().arg("report").arg(temp.path()).output().unwrap();
    assert!(expect_status(2, &output).contains("events.jsonl"));
}
