//! What was written for kola, run here unchanged: a working directory of nosa on which `kola run` needs no flag, and a command
//! line with kola's flags on an image.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::{Value, json};
use support::live::LiveRun;
use support::{fixture, texts, write_file, write_test};

/// A build as nosa leaves it, with tests and a denylist beside it.
fn nosa_directory(root: &Path) -> PathBuf {
    let work = root.join("nestos");
    let build = work.join("builds/40.20261101.0/x86_64");
    fs::create_dir_all(&build).unwrap();
    symlink("40.20261101.0", work.join("builds/latest")).unwrap();
    symlink(
        fixture().canonicalize().unwrap(),
        build.join("nestos-qemu.x86_64.qcow2"),
    )
    .unwrap();
    fs::write(
        build.join("nestos-ostree.x86_64.ociarchive"),
        vec![7; 300_000],
    )
    .unwrap();
    let builds = json!({"schema-version": "1.0.0", "builds": [{"id": "40.20261101.0", "arches": ["x86_64"]}]});
    fs::write(work.join("builds/builds.json"), builds.to_string()).unwrap();
    let meta = json!({
        "buildid": "40.20261101.0",
        "name": "NestOS-For-Container",
        "coreos-assembler.basearch": "x86_64",
        "images": {
            "ostree": {"path": "nestos-ostree.x86_64.ociarchive"},
            "qemu": {"path": "nestos-qemu.x86_64.qcow2"},
        },
    });
    fs::write(build.join("meta.json"), meta.to_string()).unwrap();
    let config = work.join("src/config");
    fs::create_dir_all(&config).unwrap();
    // Compiled-in tests that boot machines of their own are run by kolea-suites.
    let compiled_in = ["basic.*", "disks.*", "multipath.*", "network.*"];
    let compiled_in = compiled_in.map(|pattern| format!("- pattern: {pattern}\n  tracker: none\n"));
    fs::write(
        config.join("kola-denylist.yaml"),
        compiled_in.concat()
            + "- pattern: ext.config.denied\n  tracker: https://gitee.com/openeuler/issues/1\n\
         - pattern: ext.config.warned\n  tracker: https://gitee.com/openeuler/issues/2\n  warn: true\n\
         - pattern: ext.config.other-arch\n  arches: [s390x]\n",
    )
    .unwrap();
    tests(&config);
    work
}

fn tests(config: &Path) {
    let shared = "## kola:\n##   exclusive: false";
    write_test(
        config,
        "inject/test.sh",
        "## kola:\n##   injectContainer: true",
        INJECTED,
    );
    write_file(
        config,
        "butane/config.bu",
        "variant: nestos\nversion: 1.0.0\nstorage:\n  files:\n    - path: /etc/from-butane\n      mode: 0640\n      \
         contents:\n        inline: |\n          Schwalben\n          fliegen\nsystemd:\n  units:\n    - name: from-butane.service\n      \
         enabled: true\n      contents: |\n        [Service]\n        Type=oneshot\n        RemainAfterExit=yes\n        \
         ExecStart=/usr/bin/touch /run/from-butane\n        [Install]\n        WantedBy=multi-user.target\n",
    );
    let butane = "set -euo pipefail\n[[ $(stat -c %a:%U /etc/from-butane) == 640:root ]]\n\
        [[ $(</etc/from-butane) == $'Schwalben\\nfliegen' ]]\nsystemctl is-active from-butane.service\n[[ -e /run/from-butane ]]";
    write_test(config, "butane/test.sh", shared, butane);
    write_test(
        config,
        "user",
        shared,
        "getent passwd nest\nfindmnt --noheadings / >/dev/null",
    );
    write_test(config, "denied", shared, "exit 1");
    write_test(config, "warned", shared, "echo known to fail; exit 1");
    write_test(config, "other-arch", shared, "true");
    write_test(
        config,
        "fcos-only",
        "## kola:\n##   exclusive: false\n##   distros: fcos",
        "exit 1",
    );
    write_test(
        config,
        "instance",
        "## kola:\n##   instanceType: large",
        "exit 1",
    );
    let ports = "## kola:\n##   requiredHostPorts: [17005]";
    write_test(config, "port-a", ports, "sleep 1");
    write_test(config, "port-b", ports, "sleep 1");
}

/// The build's container is where kola puts it, and belongs to the user.
const INJECTED: &str = r#"set -euo pipefail
[[ $KOLA_EXT_OSTREE_OCIARCHIVE == /home/nest/nestos-ostree.x86_64.ociarchive ]]
[[ $(stat -L -c %s:%U "$KOLA_EXT_OSTREE_OCIARCHIVE") == 300000:nest ]]
[[ $(tr -d '\007' <"$KOLA_EXT_OSTREE_OCIARCHIVE" | wc -c) == 0 ]]"#;

fn kola(root: &Path) -> Command {
    let program = root.join("kola");
    if !program.exists() {
        symlink(env!("CARGO_BIN_EXE_kolea"), &program).unwrap();
    }
    let mut command = Command::new(program);
    command.env_remove("KOLEA_LOG").env("NO_COLOR", "1");
    LiveRun::configure(&mut command, root);
    command
}

fn report(out: &Path) -> Value {
    let text = fs::read_to_string(out.join("reports/report.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

/// kola's word for each test, buckets left out.
fn words(out: &Path) -> Vec<(String, String)> {
    let report = report(out);
    let mut words: Vec<(String, String)> = report["tests"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|test| test["name"].as_str().unwrap().contains("ext."))
        .map(|test| {
            let name = test["name"].as_str().unwrap().rsplit('/').next().unwrap();
            (name.to_owned(), test["result"].as_str().unwrap().to_owned())
        })
        .collect();
    let skipped = report["skipped"].as_array().unwrap().iter().map(|test| {
        assert!(!test["reason"].as_str().unwrap().is_empty());
        (test["name"].as_str().unwrap().to_owned(), "SKIP".to_owned())
    });
    words.extend(skipped.filter(|(name, _)| name.starts_with("ext.")));
    words.sort();
    words
}

fn said(output: &Output) -> String {
    let (stdout, stderr) = texts(output);
    format!("{:?}\n{stdout}\n{stderr}", output.status)
}

#[test]
fn on_a_working_directory_of_nosa_kola_run_needs_no_flag() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let work = nosa_directory(root.path());
    let output = kola(root.path())
        .arg("run")
        .current_dir(&work)
        .output()
        .unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");

    let out = work.join("tmp/kola/qemu-latest");
    let expected = [
        ("butane", "PASS"),
        ("denied", "SKIP"),
        ("fcos-only", "SKIP"),
        ("inject", "PASS"),
        ("instance", "SKIP"),
        ("other-arch", "PASS"),
        ("port-a", "PASS"),
        ("port-b", "PASS"),
        ("user", "PASS"),
        ("warned", "WARN"),
    ];
    let expected = expected.map(|(name, word)| (format!("ext.config.{name}"), word.to_owned()));
    assert_eq!(words(&out), expected, "{said}");
    let properties: Value =
        serde_json::from_str(&fs::read_to_string(out.join("properties.json")).unwrap()).unwrap();
    assert_eq!(properties["distro"], "nestos");
    let junit = fs::read_to_string(out.join("junit.xml")).unwrap();
    assert!(
        junit.contains("https://gitee.com/openeuler/issues/1"),
        "{junit}"
    );

    // Two tests with a port in common never ran at the same time.
    let events = fs::read_to_string(out.join("events.jsonl")).unwrap();
    let mut running = 0;
    for event in events
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
    {
        let of_port = |key: &str| {
            event[key]
                .as_str()
                .is_some_and(|name| name.contains(".port-"))
        };
        match event["event"].as_str().unwrap() {
            "attempt-started" if of_port("test") => running += 1,
            "attempt-finished" if of_port("test") => running -= 1,
            _ => {}
        }
        assert!(running <= 1, "{events}");
    }

    // Nothing failed, so there is nothing to run again.
    let again = kola(root.path())
        .arg("rerun")
        .current_dir(&work)
        .output()
        .unwrap();
    assert_eq!(again.status.code(), Some(0), "{}", self::said(&again));
}

/// What `--append-butane` brings: a stand-in for rpm-ostree, which an image of Debian packages has not.
const APPENDED: &str = r#"variant: fcos
version: 1.3.0
storage:
  files:
    - path: /usr/local/bin/rpm-ostree
      mode: 0755
      contents:
        inline: |
          #!/bin/sh
          echo "$@" >>/var/rebased
"#;

const REBASED: &str = r#"set -euo pipefail
cat /var/rebased
grep -q '^rebase --experimental ostree-unverified-registry:example.org/nestos:next$' /var/rebased
[[ $(wc -l </var/rebased) == 1 ]]
[[ $(</etc/appended) == "from ignition" ]]
[[ $(journalctl --list-boots --quiet | wc -l) -ge 2 ]]
[[ $(</var/mnt/host/note) == "only to be read" ]]
! touch /var/mnt/host/note
! mount -o remount,rw /var/mnt/host || ! touch /var/mnt/host/note
systemctl show --property=Environment systemd-networkd.service | grep -q SYSTEMD_LOG_LEVEL=debug"#;

#[test]
fn a_command_line_of_kola_does_what_it_says() {
    let root = tempfile::tempdir_in("/var/tmp").unwrap();
    let tree = root.path().join("tree");
    write_test(&tree, "rebased", "## kola:\n##   exclusive: false", REBASED);
    write_test(&tree, "denied", "## kola:\n##   exclusive: false", "exit 1");
    write_test(&tree, "mended", "## kola:\n##   exclusive: false", "true");
    write_test(
        &tree,
        "will-fail",
        "## kola:\n##   exclusive: false",
        "touch /run/was-here; exit 1",
    );
    let file = |name: &str, text: &str| {
        let path = root.path().join(name);
        fs::write(&path, text).unwrap();
        path.to_str().unwrap().to_owned()
    };
    let butane = file("append.bu", APPENDED);
    let ignition = file(
        "append.ign",
        r#"{"ignition":{"version":"3.0.0"},"storage":{"files":[{"path":"/etc/appended","contents":{"source":"data:,from%20ignition%0A"}}]}}"#,
    );
    let denylist = file(
        "denylist.yaml",
        "- pattern: ext.tree.denied\n  tracker: https://example.org/1\n- pattern: ext.tree.mended\n  tracker: https://example.org/2\n",
    );
    let shared = root.path().join("host, with a comma");
    fs::create_dir(&shared).unwrap();
    fs::write(shared.join("note"), "only to be read\n").unwrap();
    let out = root.path().join("out");

    // A terminal, and a person who looks at the machine of the test that failed.
    let kolea = kola(root.path());
    let words = [
        kolea.get_program().to_str().unwrap(),
        "-p=qemu",
        "--output-dir",
        out.to_str().unwrap(),
        "run",
        "-E",
        tree.to_str().unwrap(),
        "--qemu-image",
        fixture().to_str().unwrap(),
        "--append-butane",
        &butane,
        "--append-ignition",
        &ignition,
        "--denylist",
        &denylist,
        "--run-denied",
        "--oscontainer",
        "ostree-unverified-registry:example.org/nestos:next",
        "--qemu-bind-ro",
        &format!("{},/var/mnt/host", shared.display()),
        "--debug-systemd-unit=systemd-networkd.service",
        "--qemu-swtpm=false",
        "--ssh-on-test-failure",
        "--tag",
        "external",
    ]
    .map(quoted)
    .join(" ");
    let mut script = Command::new("script");
    script.args([
        "--quiet",
        "--return",
        "--flush",
        "--command",
        &words,
        "/dev/null",
    ]);
    LiveRun::configure(&mut script, root.path());
    let mut child = script
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut keyboard = child.stdin.take().unwrap();
    let mut screen = child.stdout.take().unwrap();
    let mut said = String::new();
    let mut buffer = [0; 4096];
    let mut shells = 0;
    while let Ok(count @ 1..) = screen.read(&mut buffer) {
        said.push_str(&String::from_utf8_lossy(&buffer[..count]));
        // There should be one, and whatever else fails must not leave the test hanging.
        if said.matches("leave with `exit`").count() > shells {
            let words = b"ls /run/was-here && echo \"person $((6 * 7))\"\nexit\n";
            keyboard.write_all(words).unwrap();
            shells += 1;
        }
    }
    let status = child.wait().unwrap();
    assert_eq!(status.code(), Some(1), "{said}");
    assert!(said.contains("person 42"), "{said}");

    let expected = [
        ("denied", "WARN"),
        ("mended", "PASS"),
        ("rebased", "PASS"),
        ("will-fail", "FAIL"),
    ];
    let expected = expected.map(|(name, word)| (format!("ext.tree.{name}"), word.to_owned()));
    assert_eq!(self::words(&out), expected, "{said}");
    let tap = fs::read_to_string(out.join("test.tap")).unwrap();
    assert!(tap.contains("# TODO"), "{tap}");

    // `rerun` takes what failed, and nothing else.
    let mut again = kola(root.path());
    let again = again
        .args(["rerun", "--output-dir"])
        .arg(&out)
        .args(["--dry-run", "-E"])
        .arg(&tree)
        .output()
        .unwrap();
    let (stdout, _) = texts(&again);
    assert!(
        stdout.contains("ext.tree.will-fail") && !stdout.contains("ext.tree.rebased"),
        "{stdout}"
    );
}

fn quoted(word: &str) -> String {
    format!("'{}'", word.replace('\'', r"'\''"))
}
