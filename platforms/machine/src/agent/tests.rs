//! kolet itself, run by this host's shell against stand-ins for systemd's programs.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::time::Duration;

use kolea_model::{ExternalTest, TestSource};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::testing::{LocalMachine, test_case};
use super::*;
use crate::{BootId, Machine};

fn unit() -> TestUnit {
    TestUnit::new(&test_case("ext.a.b", "/x/b"), None)
}

async fn run(machine: &LocalMachine, mark: Option<&str>, allow_reboots: bool) -> UnitEnd {
    let unit = unit();
    let run = run_unit(machine, &unit, mark, allow_reboots);
    timeout(Duration::from_secs(20), run)
        .await
        .unwrap()
        .unwrap()
}

#[tokio::test]
async fn a_test_passes_fails_skips_or_is_killed() {
    for (body, result, expected) in [
        ("true", "success", UnitEnd::Passed),
        ("sleep 0.3", "success", UnitEnd::Passed),
        ("exit 77", "exit-code", UnitEnd::Skipped),
        ("exit 3", "exit-code", failed("exited with code 3")),
        (
            "sleep 0.3; exit 1",
            "exit-code",
            failed("exited with code 1"),
        ),
        ("kill -TERM $$", "success", failed("killed by signal 15")),
        (
            "kill -KILL $$",
            "oom-kill",
            failed("killed by signal 9 (result: oom-kill)"),
        ),
        (
            "true",
            "oom-kill",
            failed("Unhandled systemd unit state: active/exited (result: oom-kill)"),
        ),
    ] {
        for allow_reboots in [true, false] {
            let machine = LocalMachine::new().with_kolet();
            machine.script("test", body);
            fs::write(machine.path("result"), result).unwrap();
            assert_eq!(run(&machine, None, allow_reboots).await, expected, "{body}");
            let log = machine.log();
            let lines: Vec<&str> = log.lines().collect();
            assert_eq!(
                lines[0],
                "systemctl start --job-mode=fail kola-runext.service"
            );
            assert_eq!(
                lines[lines.len() - 2..],
                [
                    "journalctl --sync",
                    "logger -t kolet -- kola-runext.service ended"
                ]
            );
        }
    }
}

fn failed(reason: &str) -> UnitEnd {
    UnitEnd::Failed {
        reason: reason.to_owned(),
    }
}

#[tokio::test]
async fn a_unit_that_is_not_there_is_no_failure_of_the_test() {
    let machine = LocalMachine::new().with_kolet();
    let error = run_unit(&machine, &unit(), None, true).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "kolet could not run kola-runext.service (status 1): kolet: cannot start kola-runext.service"
    );
}

#[tokio::test]
async fn marks_come_through_and_the_test_waits_for_the_acknowledgement() {
    for (script, soft) in [("reboot-prepare", false), ("soft-reboot-prepare", true)] {
        for mark in [
            "one",
            "mark2 \"internal quotes\"",
            "a\\n\nb\n\n$x `y` 'z'\t",
            "ü→\x01%s",
        ] {
            let machine = LocalMachine::new().with_kolet();
            fs::write(machine.path("mark"), mark).unwrap();
            fs::write(machine.path("soft-reboots"), "0\n").unwrap();
            machine.script(
                "test",
                &format!("mark=$(cat mark; echo .)\n./tmp/autopkgtest-{script} \"${{mark%.}}\"\necho $? >acknowledged\nsleep 60"),
            );
            let expected = UnitEnd::Reboot {
                mark: mark.to_owned(),
                soft,
            };
            assert_eq!(run(&machine, None, true).await, expected);
            assert!(machine.log().ends_with("kola-runext.service ended\n"));
            assert!(!machine.path("acknowledged").exists());
            // The harness's side of it.
            let acknowledge = machine
                .command("sh")
                .args(["-c", "echo >\"$KOLET_ROOT/run/kolet-reboot-ack\""])
                .status();
            assert!(
                timeout(Duration::from_secs(10), acknowledge)
                    .await
                    .unwrap()
                    .unwrap()
                    .success()
            );
            let seen = async {
                while !machine.path("acknowledged").exists() {
                    tokio::task::yield_now().await;
                }
            };
            timeout(Duration::from_secs(10), seen).await.unwrap();
            let pid = fs::read_to_string(machine.path("pid")).unwrap();
            let kill = format!("pkill -P {pid}; kill {pid}", pid = pid.trim());
            machine
                .command("sh")
                .args(["-c", &kill])
                .status()
                .await
                .unwrap();
        }
    }
}

#[tokio::test]
async fn a_reboot_that_is_not_allowed_fails_in_the_test() {
    let machine = LocalMachine::new().with_kolet();
    machine.script("test", "./tmp/autopkgtest-reboot one 2>message; exit 4");
    assert_eq!(
        run(&machine, None, false).await,
        failed("exited with code 4")
    );
    assert_eq!(
        fs::read_to_string(machine.path("message")).unwrap(),
        "kolet: Reboots are not supported for this test\n"
    );
    machine.script(
        "test",
        "./tmp/autopkgtest-soft-reboot one 2>message; exit 4",
    );
    assert_eq!(
        run(&machine, None, true).await,
        failed("exited with code 4")
    );
    assert_eq!(
        fs::read_to_string(machine.path("message")).unwrap(),
        "kolet: a soft reboot needs systemd 254 or newer\n"
    );
}

#[tokio::test]
async fn the_first_boot_is_completed_before_a_reboot() {
    let machine = LocalMachine::new().with_kolet();
    fs::write(machine.path("proc/cmdline"), "ignition.firstboot quiet\n").unwrap();
    machine.script("test", "./tmp/autopkgtest-reboot-prepare one");
    assert!(matches!(
        run(&machine, None, true).await,
        UnitEnd::Reboot { .. }
    ));
    assert!(
        machine
            .log()
            .contains("systemctl is-system-running --wait\n")
    );
    fs::write(machine.path("run/kolet-reboot-ack"), "\n").unwrap();
}

#[tokio::test]
async fn the_mark_is_in_the_units_environment() {
    let machine = LocalMachine::new().with_kolet();
    machine.script("test", "true");
    run(&machine, Some("a \"b\" \\ $c `d` 'e'\nf"), true).await;
    assert_eq!(
        fs::read_to_string(machine.path("run/kola-runext-env")).unwrap(),
        "AUTOPKGTEST_REBOOT_MARK=\"a \\\"b\\\" \\\\ \\$c \\`d\\` 'e'\nf\"\n"
    );
}

#[tokio::test]
async fn tests_and_data_are_installed() {
    let machine = LocalMachine::new();
    let host = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = host.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, text).unwrap();
        path
    };
    let long = format!("data/sub/{}", "n".repeat(150));
    file("common.sh", "common");
    file(&long, "long");
    std::os::unix::fs::symlink("../common.sh", host.path().join("data/common.sh")).unwrap();
    let case = |name: &str, executable: &str| {
        let mut case = test_case(name, executable);
        case.source = TestSource::External(ExternalTest {
            executable: file(executable, name),
            data: Some(host.path().join("data")),
        });
        case
    };
    let cases = [
        case("one", "a/test.sh"),
        case("two", "b/test.sh"),
        case("three", "c"),
    ];
    let units: Vec<TestUnit> = cases
        .iter()
        .enumerate()
        .map(|(index, case)| TestUnit::new(case, Some(index + 1)))
        .collect();
    let tests: Vec<(&TestUnit, &ExternalTest)> = units
        .iter()
        .zip(&cases)
        .map(|(unit, case)| match &case.source {
            TestSource::External(external) => (unit, external),
            TestSource::Native => unreachable!(),
        })
        .collect();
    install(&machine, &tests, Onto::Provisioned).await.unwrap();
    assert_eq!(*machine.labels.lock().unwrap(), ["install"]);

    let text = |name: &str| fs::read_to_string(machine.path(name)).unwrap();
    let mode = |name: &str| {
        fs::metadata(machine.path(name))
            .unwrap()
            .permissions()
            .mode()
            & 0o7777
    };
    assert_eq!(text("var/opt/kola/extdata-2/common.sh"), "common");
    assert!(
        fs::symlink_metadata(machine.path("var/opt/kola/extdata-2/common.sh"))
            .unwrap()
            .is_file()
    );
    assert_eq!(
        text(&format!("var/opt/kola/extdata-1/{}", &long[5..])),
        "long"
    );
    assert_eq!(mode("var/opt/kola/extdata-1"), 0o755);
    assert_eq!(mode("var/opt/kola/extdata-1/common.sh"), 0o644);
    assert_eq!(text("usr/local/bin/kola-runext-c"), "three");
    assert_eq!(mode("usr/local/bin/kola-runext-c"), 0o755);
    assert!(!machine.path("usr/local/bin/kolet.partial").exists());
    assert_eq!(mode("usr/local/bin/kolet"), 0o755);
    let version = machine
        .command("sh")
        .args(["-c", "sudo /usr/local/bin/kolet version"])
        .output()
        .await
        .unwrap();
    assert_eq!(
        version.stdout,
        format!("kolet {}\n", env!("CARGO_PKG_VERSION")).into_bytes()
    );

    // Two tests of one name: each is in place when its turn comes.
    machine.script("test", "true");
    for (unit, expected) in units.iter().zip(["one", "two"]) {
        assert_eq!(
            run_unit(&machine, unit, None, false).await.unwrap(),
            UnitEnd::Passed
        );
        assert_eq!(text("usr/local/bin/kola-runext-test.sh"), expected);
    }
}

#[tokio::test]
async fn data_that_cannot_be_copied_is_named() {
    let machine = LocalMachine::new();
    let host = tempfile::tempdir().unwrap();
    fs::create_dir(host.path().join("data")).unwrap();
    fs::write(host.path().join("t"), "").unwrap();
    let external = ExternalTest {
        executable: host.path().join("t"),
        data: Some(host.path().join("data")),
    };
    let link = host.path().join("data/link");
    for (target, expected) in [
        (
            "gone",
            "data/link` to the machine: it is a symbolic link to `gone`",
        ),
        (".", "form a loop"),
        ("/dev/null", "neither a file nor a directory"),
    ] {
        std::os::unix::fs::symlink(target, &link).unwrap();
        let error = install(&machine, &[(&unit(), &external)], Onto::Provisioned)
            .await
            .unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        fs::remove_file(&link).unwrap();
    }
    machine.script("bin/tar", "echo 'tar: No space left' >&2; exit 2");
    let error = install(&machine, &[(&unit(), &external)], Onto::Provisioned)
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .ends_with("(status 2): tar: No space left"),
        "{error}"
    );
}

#[tokio::test]
async fn a_soft_reboot_is_over_when_it_is_counted() {
    let machine = LocalMachine::new();
    fs::write(machine.path("soft-reboots"), "1\n").unwrap();
    machine.script("bin/sudo", "echo 2 >\"$KOLET_ROOT/soft-reboots\"");
    let next = reboot(&machine, &BootId("b".to_owned()), true, "sshd")
        .await
        .unwrap();
    assert_eq!(next, machine.wait_ready(None).await.unwrap());
    assert_eq!(
        *machine.labels.lock().unwrap(),
        ["reboot-ack", "soft-reboot-wait"]
    );
    machine.script(
        "bin/sudo",
        "echo 'Unit sshd.service not loaded.' >&2; exit 5",
    );
    let error = reboot(&machine, &BootId("b".to_owned()), false, "sshd")
        .await
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("(status 5): Unit sshd.service not loaded.")
    );
}

#[tokio::test]
async fn the_profiles_sshd_is_stopped_before_the_test_goes_on() {
    let machine = LocalMachine::new();
    fs::write(machine.path("systemctl-stop"), "").unwrap();
    let before = BootId("b".to_owned());
    reboot(&machine, &before, false, "ssh").await.unwrap();
    assert_eq!(machine.log(), "systemctl stop ssh\n");
    assert!(machine.path("run/kolet-reboot-ack").exists());
}

#[tokio::test]
async fn a_machine_without_a_test_reboots_by_itself() {
    let machine = LocalMachine::new();
    fs::write(machine.path("systemctl-reboot"), "").unwrap();
    let before = BootId("b".to_owned());
    let boot = restart(&machine, &before).await.unwrap();
    assert_eq!(boot, machine.wait_ready(None).await.unwrap());
    assert_eq!(machine.log(), "systemctl reboot\n");
    machine.script("bin/systemctl", "echo 'Access denied' >&2; exit 1");
    assert_eq!(
        restart(&machine, &before).await.unwrap_err().to_string(),
        "cannot reboot the machine (status 1): Access denied"
    );
}

#[tokio::test]
async fn a_unit_is_asked_for_its_state() {
    let machine = LocalMachine::new();
    fs::write(machine.path("systemctl-status"), "x kola-runext.service\n").unwrap();
    let status = unit_status(&machine, &unit()).await.unwrap();
    assert_eq!(status, "x kola-runext.service\n");
    assert_eq!(*machine.labels.lock().unwrap(), ["unit-status"]);
}

#[tokio::test]
async fn httpd_serves_a_directory() {
    let machine = LocalMachine::new().with_kolet();
    fs::create_dir(machine.path("www")).unwrap();
    fs::write(machine.path("www/a b.txt"), b"hello\0\xff").unwrap();
    let answer = async |request: &str| {
        let mut child = machine
            .command("sh")
            .args([
                "-c",
                "exec \"$KOLET_ROOT/usr/local/bin/kolet\" httpd-answer \"$KOLET_ROOT/www\"",
            ])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(request.as_bytes()).await.unwrap();
        drop(stdin);
        child.wait_with_output().await.unwrap().stdout
    };
    assert_eq!(
        answer("GET /a%20b.txt?x HTTP/1.1\r\nHost: localhost\r\n\r\n").await,
        b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 7\r\nConnection: close\r\n\r\nhello\0\xff"
    );
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    assert!(text(answer("HEAD /a%20b.txt HTTP/1.1\r\n\r\n").await).ends_with("close\r\n\r\n"));
    assert!(text(answer("GET / HTTP/1.0\r\n\r\n").await).contains(">a b.txt</a>"));
    assert!(text(answer("GET /nothing HTTP/1.0\r\n\r\n").await).starts_with("HTTP/1.0 404"));
    assert!(text(answer("GET /..%2Flog HTTP/1.0\r\n\r\n").await).starts_with("HTTP/1.0 403"));
    assert!(text(answer("POST / HTTP/1.0\r\n\r\n").await).starts_with("HTTP/1.0 501"));
}

#[tokio::test]
async fn httpd_listens_on_localhost() {
    let machine = LocalMachine::new().with_kolet();
    fs::write(machine.path("file"), "served").unwrap();
    if !std::path::Path::new("/usr/bin/systemd-socket-activate").exists() {
        return; // a host without systemd; the answers are tested above
    }
    let port = std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let script = format!(
        "exec \"$KOLET_ROOT/usr/local/bin/kolet\" httpd --port={port} --path \"$KOLET_ROOT\""
    );
    let mut child = machine
        .command("sh")
        .args(["-c", &script])
        .stdin(std::process::Stdio::null())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = [0; 9];
    child
        .stderr
        .as_mut()
        .unwrap()
        .read_exact(&mut line)
        .await
        .unwrap(); // "Listening"
    let mut stream = TcpStream::connect(("127.0.0.1", port)).await.unwrap();
    stream
        .write_all(b"GET /file HTTP/1.0\r\n\r\n")
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.ends_with("\r\n\r\nserved"), "{answer}");
    child.kill().await.unwrap();
}
