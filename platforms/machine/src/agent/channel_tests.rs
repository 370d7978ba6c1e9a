//! The channel, with the real kolet at its other end, run by this host's shells.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::testing::LocalMachine;
use super::{AgentChannel, TestUnit, UnitEnd, run_unit};
use crate::agent::testing::test_case;
use crate::{Exec, ExecOutput, MachineError, RunBy};

const SHELLS: [&str; 2] = ["dash", "bash"];

async fn serving(shell: &str) -> LocalMachine {
    let machine = LocalMachine::new().with_kolet();
    let serving = machine.serving(shell, |socket| socket);
    timeout(Duration::from_secs(20), serving).await.unwrap()
}

fn command(command: &str, stdin: &[u8]) -> Exec {
    Exec {
        label: "test",
        command: command.to_owned(),
        by: RunBy::Root,
        stdin: stdin.to_vec(),
    }
}

async fn exec(channel: &AgentChannel, text: &str, stdin: &[u8]) -> ExecOutput {
    let command = command(text, stdin);
    timeout(Duration::from_secs(20), channel.exec(&command))
        .await
        .unwrap()
        .unwrap()
}

fn output(status: i32, stdout: &[u8], stderr: &[u8]) -> ExecOutput {
    ExecOutput {
        status,
        stdout: stdout.to_vec(),
        stderr: stderr.to_vec(),
    }
}

#[tokio::test]
async fn commands_follow_each_other() {
    for shell in SHELLS {
        let mut machine = serving(shell).await;
        let channel = machine.channel.take().unwrap();
        assert!(channel.is_idle());
        for (text, stdin, expected) in [
            (":", &b""[..], output(0, b"", b"")),
            ("exit 7", b"", output(7, b"", b"")),
            (
                "printf 'a\\0b\\n\\n'; echo c >&2",
                b"",
                output(0, b"a\0b\n\n", b"c\n"),
            ),
            (
                "printf 'x\\\\y'; printf ' z ' >&2; false",
                b"",
                output(1, b"x\\y", b" z "),
            ),
            (
                "  a='1\n\n  2\\'\necho \"$a\"\n\n",
                b"",
                output(0, b"1\n\n  2\\\n", b""),
            ),
            ("cat", b"\0\xff\n\nx", output(0, b"\0\xff\n\nx", b"")),
            ("cat; echo d", b"", output(0, b"d\n", b"")),
            (
                "read -r a; echo \"$a\"; exit 3",
                b"one\ntwo\nrun x 1 0\n",
                output(3, b"one\n", b""),
            ),
            ("kill -9 $(sh -c 'echo $PPID')", b"", output(137, b"", b"")),
            ("a=b", b"", output(0, b"", b"")),
            (
                "echo \"${a-}\"; $KOLET version",
                b"",
                output(0, b"\nkolet @VERSION@\n", b""),
            ),
        ] {
            let result = exec(&channel, text, stdin).await;
            if text.starts_with("kill") {
                assert_eq!(result.status, expected.status, "{shell}: {text}");
            } else {
                assert_eq!(result, expected, "{shell}: {text}");
            }
        }
        let big: Vec<u8> = (0..3_000_000_u32)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        assert_eq!(exec(&channel, "cat", &big).await.stdout, big);
        // Input that nobody reads, and output at the same time.
        let result = exec(&channel, "head -c 1000000 /dev/zero", &big).await;
        assert_eq!(result.stdout.len(), 1_000_000);
        assert_eq!(exec(&channel, "echo ok", b"").await.stdout, b"ok\n");
        drop(channel);
        assert_eq!(machine.agent_ends().await, Some(0), "{shell}");
    }
}

/// Passes everything on in pieces of a few bytes.
fn in_pieces(socket: UnixStream) -> UnixStream {
    let (host, relay) = UnixStream::pair().unwrap();
    let (mut a, mut b) = (socket.into_split(), relay.into_split());
    let forward = async move |from: &mut tokio::net::unix::OwnedReadHalf,
                              to: &mut tokio::net::unix::OwnedWriteHalf| {
        let mut piece = [0; 3];
        while let Ok(count @ 1..) = from.read(&mut piece).await {
            if to.write_all(&piece[..count]).await.is_err() {
                break;
            }
            tokio::task::yield_now().await;
        }
        let _ = to.shutdown().await;
    };
    tokio::spawn(async move {
        tokio::join!(forward(&mut a.0, &mut b.1), forward(&mut b.0, &mut a.1));
    });
    host
}

#[tokio::test]
async fn answers_may_come_in_pieces() {
    for shell in SHELLS {
        let machine = LocalMachine::new()
            .with_kolet()
            .serving(shell, in_pieces)
            .await;
        let channel = machine.channel.as_ref().unwrap();
        for stdin in ["", "some\ninput"] {
            let result = exec(
                channel,
                "echo out; cat; echo error >&2\nexit 4",
                stdin.as_bytes(),
            )
            .await;
            let stdout = format!("out\n{stdin}");
            assert_eq!(result, output(4, stdout.as_bytes(), b"error\n"), "{shell}");
        }
    }
}

#[tokio::test]
async fn a_test_runs_over_the_channel() {
    for shell in SHELLS {
        let machine = serving(shell).await;
        let unit = TestUnit::new(&test_case("ext.a.b", "/x/b"), None);
        let run = async |allow_reboots| {
            let run = run_unit(&machine, &unit, None, allow_reboots);
            timeout(Duration::from_secs(20), run)
                .await
                .unwrap()
                .unwrap()
        };
        machine.script("test", "sleep 0.3; exit 77");
        assert_eq!(run(true).await, UnitEnd::Skipped);
        machine.script("test", "./tmp/autopkgtest-reboot-prepare one");
        let expected = UnitEnd::Reboot {
            mark: "one".to_owned(),
            soft: false,
        };
        assert_eq!(run(true).await, expected);
        std::fs::write(machine.path("run/kolet-reboot-ack"), "\n").unwrap();
        machine.script("test", "true");
        assert_eq!(run(false).await, UnitEnd::Passed);
        assert!(!machine.path("run/kolet-reboot").exists());
        assert_eq!(run(true).await, UnitEnd::Passed);
        let journal = std::fs::read_to_string(machine.path("journal")).unwrap();
        assert_eq!(journal, "kola-runext.service ended\n".repeat(4));
    }
}

/// The agent's end of a channel, by hand.
fn pair() -> (AgentChannel, UnixStream) {
    let (host, guest) = UnixStream::pair().unwrap();
    (AgentChannel::new(host), guest)
}

fn message(result: Result<ExecOutput, MachineError>) -> String {
    let error = result.unwrap_err();
    assert!(matches!(error, MachineError::Ssh(_)));
    assert!(
        error
            .to_string()
            .contains("the agent's channel: running `test`: ")
    );
    error.to_string()
}

/// Answers the next request with the result of `answer`, which is given the mark.
async fn agent(mut guest: UnixStream, answer: impl Fn(&str) -> String) -> UnixStream {
    let mut request = vec![0; 1000];
    let count = guest.read(&mut request).await.unwrap();
    let text = String::from_utf8_lossy(&request[..count]).into_owned();
    let mark = text.split(' ').nth(1).unwrap();
    guest.write_all(answer(mark).as_bytes()).await.unwrap();
    guest
}

#[tokio::test]
async fn an_answer_that_makes_no_sense_ends_the_channel() {
    let answers: [fn(&str) -> String; 4] = [
        |mark| format!("out\n{mark} zero\n\n{mark}\n"),
        |mark| format!("out\n{mark} 0\n{mark}\n"),
        |mark| format!("out\n{mark}\n"),
        |mark| format!("{mark} 0\n\n{mark}\n"),
    ];
    for answer in answers {
        let (channel, guest) = pair();
        let command = command("true", b"");
        let (result, _guest) = tokio::join!(channel.exec(&command), agent(guest, answer));
        assert!(message(result).contains("makes no sense"));
        assert!(!channel.is_idle());
        assert!(message(channel.exec(&command).await).contains("in use or closed"));
    }
}

#[tokio::test]
async fn a_channel_that_is_closed_or_given_up_fails_its_command() {
    let (channel, guest) = pair();
    drop(guest);
    message(channel.exec(&command("true", b"")).await);

    let (channel, _guest) = pair();
    let command = command("sleep 60", b"");
    let (result, ()) = tokio::join!(channel.exec(&command), async {
        tokio::task::yield_now().await;
        assert!(!channel.is_idle());
        channel.give_up();
    });
    assert!(message(result).contains("the agent is gone"));
    assert!(!channel.is_idle());
}

#[tokio::test]
async fn a_command_that_is_dropped_takes_the_channel_along() {
    let (channel, mut guest) = pair();
    let slow = command("sleep 60", b"");
    assert!(
        timeout(Duration::from_millis(20), channel.exec(&slow))
            .await
            .is_err()
    );
    assert!(!channel.is_idle());
    // The agent is told.
    let mut rest = Vec::new();
    guest.read_to_end(&mut rest).await.unwrap();
    assert!(rest.ends_with(b" 1 0\nsleep 60\n"));
}

#[tokio::test]
async fn the_acknowledgement_of_a_reboot_is_the_last_command() {
    let (channel, guest) = pair();
    let exec = Exec {
        label: "reboot-ack",
        ..command("true", b"")
    };
    let answer = |mark: &str| format!("\n{mark} 0\n\n{mark}\n");
    let (result, _guest) = tokio::join!(channel.exec(&exec), agent(guest, answer));
    assert_eq!(result.unwrap(), ExecOutput::default());
    assert!(!channel.is_idle());
}

#[tokio::test]
async fn something_else_on_the_port_is_no_agent() {
    let (channel, mut guest) = pair();
    guest.write_all(b"login: \n").await.unwrap();
    let error = channel.hello().await.unwrap_err();
    assert!(error.to_string().contains("it says `login:`"), "{error}");
    assert!(!channel.is_idle());
}

/// Platforms need it so.
#[test]
fn its_futures_are_send() {
    fn is_send<T: Send>(_: T) {}
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .unwrap();
    let _guard = runtime.enter();
    let (channel, _guest) = pair();
    is_send(channel.hello());
    is_send(channel.exec(&Exec::default()));
}
