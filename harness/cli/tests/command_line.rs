//! The command line as a whole, without a machine: what is refused and how, settings from elsewhere, and the small subcommands.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::io::Write;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use support::{kolea, texts, write_file, write_test};

/// A directory with a tree of two tests, to run in.
fn tree() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    write_test(dir.path(), "one", "", "true");
    write_test(
        dir.path(),
        "two",
        "## kola:\n##   tags: needs-internet",
        "true",
    );
    dir
}

fn run_in(dir: &Path, words: &[&str]) -> Output {
    kolea().current_dir(dir).args(words).output().unwrap()
}

#[track_caller]
fn status(output: &Output, expected: i32) -> (String, String) {
    let (stdout, stderr) = texts(output);
    assert_eq!(output.status.code(), Some(expected), "{stdout}{stderr}");
    assert!(!stderr.contains("panicked"), "{stderr}");
    (stdout, stderr)
}

#[test]
fn what_is_not_built_in_is_one_line() {
    let dir = tree();
    for (words, expected) in [
        ("run --qemu-cex a.qcow2", "--qemu-cex is not supported yet"),
        (
            "run -p qemu --qemu-iso x.iso --qemu-iso-as-disk",
            "--qemu-iso-as-disk is about platform `qemu-iso`",
        ),
        (
            "run --qemu-native-4k --qemu-512e",
            "--qemu-native-4k and --qemu-512e are different sectors; leave out one",
        ),
        (
            "run --qemu-nvme --qemu-multipath",
            "--qemu-multipath gives paths over SCSI, and --qemu-nvme an NVMe disk; leave out one",
        ),
        (
            "run --arch x86_64 --qemu-firmware bios --qemu-native-4k",
            "--qemu-native-4k needs UEFI",
        ),
        ("-p iso run", "no image: name one"),
        ("run --qemu-iso x.iso basic", "there is no such file"),
        ("run -p aws --aws-ami x", "platform `aws` is not built in"),
        ("run -p vax", "platform `vax` is not known"),
        (
            "run --stream next",
            "--stream looks for the images of clouds",
        ),
        (
            "run-upgrade --find-parent-image",
            "`kolea run-upgrade` is not supported yet",
        ),
        ("spawn -k", "`kolea spawn` is not supported yet"),
        ("qemuexec -- -nographic", "no image: name one"),
        ("qemuexec a.qcow2 -c -x true", "runs something over SSH"),
        (
            "qemuexec a.qcow2 --ignition-direct",
            "there is none: name one by --ignition or --butane",
        ),
        (
            "qemuexec a.qcow2 --print-command --devshell",
            "--print-command starts nothing",
        ),
        (
            "qemuexec a.qcow2 --netboot nothing.ipxe",
            "--netboot nothing.ipxe: there is no such file in .",
        ),
        (
            "qemuexec a.qcow2 -i nothing.ign",
            "cannot read config nothing.ign",
        ),
        (
            "testiso -S --inst-insecure=true iso-live-login.bios",
            "no live ISO",
        ),
        ("bootchart", "`kolea bootchart` is not supported yet"),
        ("run --sharding 1/2", "--sharding: "),
        (
            "run --no-templates --verify-templates 1%",
            "cannot be used with",
        ),
        ("run -b ./nowhere.toml a.qcow2", "nowhere.toml"),
        ("run --build 5 a.qcow2", "no working directory"),
        (
            "run --oscontainer a.ociarchive",
            "there is no file a.ociarchive",
        ),
        (
            "run --tapfile nowhere/x.tap",
            "there is no directory nowhere",
        ),
        ("run --profile .", "it is a directory"),
    ] {
        let output = run_in(dir.path(), &words.split(' ').collect::<Vec<_>>());
        let (_, stderr) = status(&output, 2);
        assert!(stderr.contains(expected), "{words}: {stderr}");
        assert_eq!(stderr.lines().count(), 1, "{words}: {stderr}");
    }
}

#[test]
fn flags_without_effect_say_so_and_the_plan_is_made() {
    let dir = tree();
    let output = run_in(
        dir.path(),
        &[
            "run",
            "--dry-run",
            "--aws-region",
            "x",
            "--qemu-drive-opts=x",
            "--qemu-nbd-socket",
            "--allow-rerun-success",
            "tags=x",
            "--ssh-on-test-failure",
            "--denylist-stream=next",
            "--run-denied",
            "--rerun",
            "--multiply=2",
            "--no-net",
            "--oscontainer",
            "quay.io/a",
            "--tag=external",
            "ext.*",
        ],
    );
    let (stdout, stderr) = status(&output, 0);
    for word in [
        "--aws-region",
        "--qemu-drive-opts",
        "--qemu-nbd-socket",
        "--allow-rerun-success",
        "--ssh-on-test-failure",
        "--denylist-stream",
        "--run-denied",
        "--rerun with --multiply",
        "--oscontainer",
        "--tag",
    ] {
        let said = stderr
            .lines()
            .filter(|line| line.starts_with("kolea: warning: ") && line.contains(word));
        assert_eq!(said.count(), 1, "{word}: {stderr}");
    }
    assert!(stdout.contains("deselected"), "{stdout}");
    let quiet = run_in(
        dir.path(),
        &[
            "run",
            "--dry-run",
            "--qemu-swtpm=false",
            "--qemu-multipath=false",
        ],
    );
    let (_, stderr) = status(&quiet, 0);
    assert_eq!(stderr, "");
}

#[test]
fn called_as_kola_it_is_kola() {
    let dir = tree();
    let kola = |words: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kolea"));
        command.arg0("/usr/bin/kola").current_dir(dir.path());
        command
            .env_remove("KOLEA_LOG")
            .args(words)
            .output()
            .unwrap()
    };
    let (_, stderr) = status(&kola(&["run", "nothing-like-it"]), 1);
    assert!(stderr.starts_with("kola: "), "{stderr}");
    let (_, stderr) = status(&kola(&["run", "--no-such-flag"]), 1);
    assert!(stderr.contains("Usage: kola run"), "{stderr}");
    let (stdout, _) = status(&kola(&["version"]), 0);
    assert!(stdout.starts_with("kola version "), "{stdout}");
    for words in [
        &["exit-codes"][..],
        &["help", "exit-codes"],
        &["run", "--help"],
    ] {
        let (stdout, _) = status(&kola(words), 0);
        assert!(stdout.contains("130  stopped by a signal"), "{stdout}");
    }
    let (stdout, _) = status(&kola(&["run", "--help"]), 0);
    assert!(stdout.contains("Usage: kola run"), "{stdout}");
    // Without a build, kola takes it for fcos; kolea asks the machine.
    write_test(
        dir.path(),
        "elsewhere",
        "## kola:\n##   distros: nestos",
        "true",
    );
    let (stdout, _) = status(&kola(&["run", "--dry-run"]), 0);
    assert!(stdout.contains("elsewhere: not applicable"), "{stdout}");
    let (stdout, _) = status(&run_in(dir.path(), &["run", "--dry-run"]), 0);
    assert!(!stdout.contains("not applicable"), "{stdout}");
    let (stdout, _) = status(
        &run_in(dir.path(), &["run", "--dry-run", "-b", "nestos"]),
        0,
    );
    assert!(!stdout.contains("not applicable"), "{stdout}");
}

#[test]
fn settings_come_from_file_and_variables_and_can_be_seen() {
    let dir = tree();
    std::fs::write(
        dir.path().join("kolea.toml"),
        "no-net = true\nqemu-memory = 1024\ntag = ['external']\n",
    )
    .unwrap();
    let (stdout, _) = status(&run_in(dir.path(), &["run", "--dry-run"]), 0);
    assert!(stdout.contains("--no-net"), "{stdout}");
    let output = kolea()
        .current_dir(dir.path())
        .env("KOLEA_QEMU_MEMORY", "2048")
        .args(["config", "--json", "--rerun"])
        .output()
        .unwrap();
    let (stdout, _) = status(&output, 0);
    let rows: Vec<serde_json::Value> = serde_json::from_str(&stdout).unwrap();
    let row = |name: &str| rows.iter().find(|row| row["name"] == name).unwrap();
    assert_eq!(row("qemu-memory")["values"], serde_json::json!(["2048"]));
    assert_eq!(row("qemu-memory")["place"], "KOLEA_QEMU_MEMORY");
    assert_eq!(row("no-net")["origin"], "file");
    assert_eq!(row("no-net")["place"], "kolea.toml:1");
    assert_eq!(row("rerun")["origin"], "flag");
    assert_eq!(row("accel")["origin"], "default");
    assert!(rows.iter().all(|row| row["name"] != "aws-ami"));
    let (table, _) = status(&run_in(dir.path(), &["config"]), 0);
    assert!(
        table
            .lines()
            .any(|line| line.starts_with("tag ") && line.ends_with(" kolea.toml:3")),
        "{table}"
    );

    std::fs::write(dir.path().join("kolea.toml"), "\nqemu-memroy = 1024\n").unwrap();
    let (_, stderr) = status(&run_in(dir.path(), &["run", "--dry-run"]), 2);
    assert_eq!(
        stderr,
        "kolea: kolea.toml:2: there is no setting `qemu-memroy`; did you mean `qemu-memory`?\n"
    );
}

#[test]
fn configs_to_append_are_read_before_anything_boots() {
    let dir = tree();
    let file = |name: &str, text: &str| {
        let path = dir.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let good = file("good.ign", r#"{"ignition": {"version": "3.0.0"}}"#);
    let bad = file(
        "bad.ign",
        r#"{"ignition": {"version": "3.0.0"}, "storage": {"files": [{"path": 7}]}}"#,
    );
    status(
        &run_in(
            dir.path(),
            &[
                "run",
                "--dry-run",
                "--append-ignition",
                &good,
                "--append-ignition",
                &good,
            ],
        ),
        0,
    );
    let (_, stderr) = status(
        &run_in(
            dir.path(),
            &[
                "run",
                "--dry-run",
                "--append-ignition",
                &good,
                "--append-ignition",
                &bad,
            ],
        ),
        2,
    );
    assert!(
        stderr.contains("bad.ign: Ignition config is invalid"),
        "{stderr}"
    );
    let (_, stderr) = status(
        &run_in(
            dir.path(),
            &["run", "--dry-run", "--append-ignition", "away.ign"],
        ),
        2,
    );
    assert!(stderr.contains("away.ign"), "{stderr}");
    let bu = |text: &str| {
        file(
            "config.bu",
            &format!("variant: fcos\nversion: 1.0.0\n{text}"),
        )
    };
    let path = bu("systemd: {units: [{name: a.service, enabled: true}]}\n");
    let words = ["run", "--dry-run", "--append-butane", &path];
    status(&run_in(dir.path(), &words), 0);
    bu("systemd:\n  unit: []\n");
    let (_, stderr) = status(&run_in(dir.path(), &words), 2);
    assert!(stderr.contains("config.bu:4:3: "), "{stderr}");
    // Any program that does what butane does.
    let butane = file(
        "butane",
        "#!/bin/sh\necho '{\"ignition\": {\"version\": \"3.9.0\"}}'\n",
    );
    std::fs::set_permissions(&butane, std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    let config = file("config.bu", "variant: fcos\nversion: 1.0.0\n");
    let words = [
        "run",
        "--dry-run",
        "--append-butane",
        &config,
        "--butane-program",
        &butane,
    ];
    let (_, stderr) = status(&run_in(dir.path(), &words), 2);
    assert!(stderr.contains("3.9.0"), "{stderr}");
    let words = [
        "run",
        "--dry-run",
        "--append-butane",
        &config,
        "--butane-program",
        "/nowhere/butane",
    ];
    let (_, stderr) = status(&run_in(dir.path(), &words), 2);
    assert!(stderr.contains("cannot run /nowhere/butane"), "{stderr}");
}

#[test]
fn consoles_are_checked_from_files_and_from_standard_input() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("good.txt"), "all is well\n").unwrap();
    std::fs::write(
        dir.path().join("bad.txt"),
        b"\xff[ 1.0] Kernel panic - not syncing: hello\r\n",
    )
    .unwrap();
    let (stdout, _) = status(&run_in(dir.path(), &["check-console", "good.txt"]), 0);
    assert_eq!(stdout, "");
    let (stdout, stderr) = status(
        &run_in(
            dir.path(),
            &["check-console", "good.txt", "bad.txt", "away.txt"],
        ),
        1,
    );
    assert_eq!(stdout, "bad.txt: kernel panic (hello)\n");
    assert!(stderr.contains("away.txt"), "{stderr}");
    let mut child = kolea()
        .args(["check-console", "-v"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all(b"Kernel panic - not syncing: x\n")
        .unwrap();
    let (stdout, _) = status(&child.wait_with_output().unwrap(), 1);
    assert_eq!(
        stdout,
        "Reading input from stdin...\nstdin: kernel panic (x)\n"
    );
}

#[test]
fn a_distribution_may_be_a_profile_of_ones_own() {
    let dir = tree();
    write_test(dir.path(), "mine", "## kola:\n##   distros: mine", "true");
    let profile =
        "name = 'mine'\nuser = 'me'\n[[console_patterns]]\nname = 'a cat'\npattern = 'meow'\n";
    std::fs::write(dir.path().join("mine.toml"), profile).unwrap();
    let skipped = |words: &[&str]| {
        let (stdout, _) = status(&run_in(dir.path(), words), 0);
        stdout.contains("mine: not applicable")
    };
    assert!(!skipped(&["run", "--dry-run", "-b", "mine.toml"]));
    assert!(skipped(&["run", "--dry-run", "-b", "fcos"]));
    std::fs::write(dir.path().join("console.txt"), "meow\n").unwrap();
    status(&run_in(dir.path(), &["check-console", "console.txt"]), 0);
    let words = ["check-console", "-b", "./mine.toml", "console.txt"];
    let (stdout, _) = status(&run_in(dir.path(), &words), 1);
    assert_eq!(stdout, "console.txt: a cat\n");
}

#[test]
fn an_unsupported_test_is_skipped_unless_it_was_named() {
    let dir = tree();
    write_test(
        dir.path(),
        "cloud",
        "## kola:\n##   instanceType: m5.large",
        "true",
    );
    let (stdout, stderr) = status(&run_in(dir.path(), &["run", "--dry-run"]), 0);
    assert!(
        stdout.contains("cloud: not supported yet: instanceType"),
        "{stdout}"
    );
    assert_eq!(stderr.matches("instanceType (1)").count(), 1, "{stderr}");
    let name = format!(
        "ext.{}.cloud",
        dir.path().file_name().unwrap().to_str().unwrap()
    );
    let (_, stderr) = status(&run_in(dir.path(), &["run", "--dry-run", &name]), 2);
    assert!(stderr.contains("not supported yet"), "{stderr}");
    let (stdout, _) = status(&run_in(dir.path(), &["list", "--why"]), 0);
    let why = stdout.lines().find(|line| line.contains(".cloud")).unwrap();
    assert!(why.contains("not supported yet"), "{why}");
}

#[test]
fn lists_take_kolas_filters_and_no_others() {
    let dir = tree();
    write_test(
        dir.path(),
        "cloud",
        "## kola:\n##   platforms: aws\n##   distros: rhcos",
        "true",
    );
    let has = |words: &[&str]| {
        let (stdout, stderr) = status(&run_in(dir.path(), words), 0);
        (stdout.contains(".cloud"), stderr)
    };
    assert_eq!(has(&["list"]), (true, String::new()));
    assert_eq!(
        has(&["list", "-p", "all", "-b", "all"]),
        (true, String::new())
    );
    assert_eq!(has(&["list", "-p", "qemu"]), (false, String::new()));
    assert_eq!(
        has(&["-p=aws", "list", "-b", "rhcos"]),
        (true, String::new())
    );
    assert_eq!(has(&["list", "-b", "fcos"]), (false, String::new()));
    let (all, stderr) = has(&["list", "--no-net"]);
    assert!(all && stderr.contains("--no-net"), "{stderr}");
}

#[test]
fn memory_that_is_too_little_and_containers_that_are_not_there_are_told() {
    let dir = tree();
    write_test(dir.path(), "big", "## kola:\n##   minMemory: 4096", "true");
    let words = ["run", "--dry-run", "--qemu-memory", "1024", "ext.*.big"];
    let (_, stderr) = status(&run_in(dir.path(), &words), 0);
    assert!(
        stderr.contains("--qemu-memory 1024 is less") && stderr.contains(".big (4096)"),
        "{stderr}"
    );
    write_test(
        dir.path(),
        "container",
        "## kola:\n##   injectContainer: true",
        "true",
    );
    write_file(dir.path(), "image.qcow2", "");
    let (_, stderr) = status(
        &run_in(dir.path(), &["run", "image.qcow2", "ext.*.container"]),
        2,
    );
    assert!(
        stderr.contains("injectContainer") && stderr.contains(".container"),
        "{stderr}"
    );
    assert!(!dir.path().join("_kola_temp").exists());
}
