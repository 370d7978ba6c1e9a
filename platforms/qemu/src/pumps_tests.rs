use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::net::unix::pipe::{self, Sender};

use super::*;

struct Bench {
    dir: TempDir,
    input: Sender,
    output: Receiver,
    lines: mpsc::Receiver<Line>,
    listeners: Listeners,
}

fn bench() -> Bench {
    let (input, output) = pipe::pipe().unwrap();
    let (sender, lines) = mpsc::channel(64);
    Bench {
        dir: tempfile::tempdir().unwrap(),
        input,
        output,
        lines,
        listeners: Listeners {
            lines: sender,
            signs: Arc::new(Signs::new("sshd")),
        },
    }
}

impl Bench {
    fn artifact(&self, name: &str) -> Artifact {
        Artifact::new(self.dir.path().join(name))
    }

    fn read(&self, name: &str) -> String {
        std::fs::read_to_string(self.dir.path().join(name)).unwrap()
    }
}

async fn run(pipe: Receiver, sink: impl Sink) {
    pump(pipe, sink, mpsc::channel(1).1).await;
}

#[tokio::test]
async fn the_console_is_kept_as_it_is_and_told_line_by_line() {
    let mut bench = bench();
    let file = bench.artifact("console.txt");
    let signs = Arc::clone(&bench.listeners.signs);
    bench
        .input
        .write_all(b"\x1b[1mone\x1b[0m\r\n[  OK  ] Started ssh.service - OpenBSD Secure Shell server.\nlogin: ")
        .await
        .unwrap();
    drop(bench.input);
    run(bench.output, Console::new(file, bench.listeners)).await;
    signs.kick.notified().await;
    let mut lines = Vec::new();
    while let Some(line) = bench.lines.recv().await {
        lines.push(line);
    }
    assert_eq!(lines[0], Line::Console("one".to_owned()));
    assert_eq!(lines[2], Line::Console("login: ".to_owned()));
    let text = std::fs::read(bench.dir.path().join("console.txt")).unwrap();
    assert!(text.starts_with(b"\x1b[1mone\x1b[0m\r\n"));
}

#[tokio::test]
async fn nobody_listening_and_no_space_do_not_stop_a_pump() {
    let mut bench = bench();
    // Writing to it fails with ENOSPC.
    let file = Artifact::new("/dev/full".into());
    drop(bench.lines);
    let pump = tokio::spawn(run(bench.output, Console::new(file, bench.listeners)));
    for _ in 0..100 {
        bench.input.write_all(&[b'\n'; 10_000]).await.unwrap();
    }
    drop(bench.input);
    pump.await.unwrap();
}

#[tokio::test]
async fn the_journal_is_written_for_people_and_for_programs() {
    let mut bench = bench();
    let (text, json) = (
        bench.artifact("journal.txt"),
        bench.artifact("journal.json"),
    );
    let entry =
        b"__REALTIME_TIMESTAMP=1700000000000000\n_BOOT_ID=b\n_SYSTEMD_UNIT=sshd.service\n_PID=7\n\
                  MESSAGE=Server listening on :: port 22.\n\n";
    bench.input.write_all(entry).await.unwrap();
    let (input, signs) = (bench.input, Arc::clone(&bench.listeners.signs));
    drop(input);
    let journal = Journal::new(text, json, bench.listeners.clone(), JournalState::default());
    run(bench.output, journal).await;
    signs.kick.notified().await;
    assert!(signs.sshd(None).await);
    let Some(Line::Journal(entry)) = bench.lines.recv().await else {
        panic!("no entry");
    };
    assert_eq!(entry.message, "Server listening on :: port 22.");
    let dir = bench.dir;
    let read = |name: &str| std::fs::read_to_string(dir.path().join(name)).unwrap();
    assert!(read("journal.txt").ends_with(" sshd.service[7]: Server listening on :: port 22.\n"));
    assert!(read("journal.json").contains("\"_PID\":\"7\""));
}

#[tokio::test]
async fn the_last_journal_of_an_initramfs_is_told() {
    let mut bench = bench();
    let file = bench.artifact("dump");
    bench
        .input
        .write_all(b"{\"MESSAGE\":\"Ignition failed\",\"SYSLOG_IDENTIFIER\":\"ignition\"}\n{}\n")
        .await
        .unwrap();
    let input = std::mem::replace(&mut bench.input, pipe::pipe().unwrap().0);
    drop(input);
    let output = std::mem::replace(&mut bench.output, pipe::pipe().unwrap().1);
    run(output, Ignition::new(file, bench.listeners.clone())).await;
    let Some(Line::Journal(entry)) = bench.lines.recv().await else {
        panic!("no entry");
    };
    assert_eq!(entry.message, "Ignition failed");
    assert!(bench.lines.try_recv().is_err());
    assert!(bench.read("dump").ends_with("{}\n"));
}

#[tokio::test]
async fn what_is_in_a_pipe_is_drained_on_request() {
    let mut bench = bench();
    let (requests, receiver) = mpsc::channel(1);
    let artifact = |name| bench.artifact(name);
    let journal = Journal::new(
        artifact("text"),
        artifact("json"),
        bench.listeners.clone(),
        JournalState::default(),
    );
    let whole = journal.whole();
    let pump = tokio::spawn(pump(bench.output, journal, receiver));
    let drain = async || {
        let (reply, answer) = oneshot::channel();
        requests.send(reply).await.unwrap();
        answer.await.unwrap()
    };
    assert_eq!(drain().await, 0);
    // Nothing has run in between: only the kernel knows that these bytes have arrived.
    bench.input.write_all(b"MESSAGE=a").await.unwrap();
    drain().await;
    assert!(!*whole.borrow());
    bench.input.write_all(b"\n\n").await.unwrap();
    drain().await;
    assert!(*whole.borrow());
    assert!(bench.lines.try_recv().is_ok());
    drop(bench.input);
    pump.await.unwrap();
}

#[test]
fn an_artefact_goes_on_after_a_seam() {
    let dir = tempfile::tempdir().unwrap();
    let (before, after) = (dir.path().join("before"), dir.path().join("after"));
    std::fs::write(&before, "boot\n").unwrap();
    Artifact::after(after.clone(), &before, "-- seam --\n").write(b"on\n");
    assert_eq!(
        std::fs::read_to_string(&after).unwrap(),
        "boot\n-- seam --\non\n"
    );
    // A machine that said nothing has no file.
    let none = dir.path().join("none");
    Artifact::after(after.clone(), &none, "-- seam --\n");
    assert!(
        std::fs::read_to_string(&after)
            .unwrap()
            .ends_with("-- seam --\n")
    );
}
