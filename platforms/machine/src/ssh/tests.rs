//! Connections to a server in this process.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep, timeout};

use super::testing::Server;
use super::*;
use crate::{BootId, Exec, ExecOutput, MachineError, RunBy};

const PATIENT: Duration = Duration::from_secs(20);

fn exec(command: &str, stdin: &[u8]) -> Exec {
    Exec {
        label: "test",
        command: command.to_owned(),
        stdin: stdin.to_vec(),
        by: RunBy::User,
    }
}

async fn connect(server: &Arc<Server>) -> SshSession {
    let target = server.listen().await;
    SshSession::connect(&target, PATIENT).await.unwrap()
}

async fn run(session: &SshSession, command: &str, stdin: &[u8]) -> ExecOutput {
    let exec = exec(command, stdin);
    timeout(PATIENT, session.exec(&exec))
        .await
        .unwrap()
        .unwrap()
}

fn host_boot() -> BootId {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    BootId(id.trim().to_owned())
}

#[tokio::test]
async fn commands_give_output_and_status() {
    let session = connect(&Arc::new(Server::new())).await;
    let output = run(&session, "cat; echo err >&2; exit 7", b"in\0put").await;
    assert_eq!(
        output,
        ExecOutput {
            status: 7,
            stdout: b"in\0put".to_vec(),
            stderr: b"err\n".to_vec(),
        }
    );
    assert_eq!(run(&session, "kill -TERM $$", b"").await.status, 143);
    assert_eq!(run(&session, "true", b"").await.status, 0);
    assert!(!session.is_closed());
}

#[tokio::test]
async fn much_output_is_cut_and_much_input_is_sent() {
    let session = connect(&Arc::new(Server::new())).await;
    let output = run(&session, "head -c 6000000 /dev/zero; echo done >&2", b"").await;
    assert_eq!(output.stdout.len(), ExecOutput::LIMIT);
    assert_eq!(output.stderr, b"done\n");
    let input = vec![b'x'; 5_000_000];
    assert_eq!(
        run(&session, "wc -c", &input).await.stdout_text().trim(),
        "5000000"
    );
    // A command that does not read its input ends all the same.
    assert_eq!(run(&session, "exit 3", &input).await.status, 3);
}

#[tokio::test]
async fn commands_run_side_by_side() {
    let session = connect(&Arc::new(Server::new())).await;
    let slow = exec("sleep 30", b"");
    tokio::select! {
        _ = session.exec(&slow) => panic!("the quick command waited for the slow one"),
        output = run(&session, "echo quick", b"") => assert_eq!(output.stdout, b"quick\n"),
    }
}

#[tokio::test]
async fn a_dropped_command_is_killed_and_its_channel_closed() {
    let server = Arc::new(Server::new());
    let session = connect(&server).await;
    for _ in 0..14 {
        let slow = exec("echo started; exec sleep 30", b"");
        assert!(
            timeout(Duration::from_millis(30), session.exec(&slow))
                .await
                .is_err()
        );
        timeout(PATIENT, server.state.closed.notified())
            .await
            .unwrap();
    }
    assert_eq!(run(&session, "echo on", b"").await.stdout, b"on\n");
    let state = &server.state;
    while state.killed.load(Ordering::SeqCst) == 0 {
        sleep(Duration::from_millis(1)).await;
    }
}

#[tokio::test]
async fn a_command_on_a_lost_connection_fails() {
    let server = Arc::new(Server::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.target(listener.local_addr().unwrap());
    let lose = Arc::new(Notify::new());
    let (serving, losing) = (Arc::clone(&server), Arc::clone(&lose));
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let socket: std::net::TcpStream = {
            use std::os::fd::AsFd;
            stream.as_fd().try_clone_to_owned().unwrap().into()
        };
        tokio::spawn(serving.serve(stream));
        losing.notified().await;
        socket.shutdown(std::net::Shutdown::Both).unwrap();
    });
    let session = SshSession::connect(&target, PATIENT).await.unwrap();
    let slow = exec("sleep 30", b"");
    let (result, ()) = tokio::join!(session.exec(&slow), async {
        run(&session, "true", b"").await;
        lose.notify_one();
    });
    let error = result.unwrap_err();
    assert!(matches!(error, MachineError::Ssh(_)), "{error}");
    assert!(session.is_closed());
    assert!(
        timeout(PATIENT, session.exec(&slow))
            .await
            .unwrap()
            .is_err()
    );
}

#[tokio::test]
async fn a_refused_key_is_an_error_that_says_so() {
    let server = Arc::new(Server::new());
    let mut target = server.listen().await;
    target.user = "nest".to_owned();
    let error = SshSession::connect(&target, PATIENT).await.unwrap_err();
    assert_eq!(
        error.to_string(),
        "SSH to the machine: authentication failed: the guest does not accept our key for user `nest`"
    );
}

#[tokio::test]
async fn whoever_goes_on_refusing_our_key_locks_us_out() {
    let server = Arc::new(Server::new());
    let mut target = server.listen().await;
    target.user = "nest".to_owned();
    let (kick, last) = (Notify::new(), LastError::default());
    let patience = Duration::from_millis(10);
    // Nobody has refused it yet.
    let early = timeout(2 * patience, last.locked_out(patience)).await;
    assert!(early.is_err());
    tokio::select! {
        _ = connect_until_ready_noting(&target, &kick, None, &last) => panic!("we were let in"),
        () = last.locked_out(patience) => {}
        () = sleep(PATIENT) => panic!("nobody noticed"),
    }
}

#[tokio::test]
async fn ready_is_the_first_answer_of_a_new_boot() {
    let server = Arc::new(Server::new());
    let target = server.listen().await;
    server.state.refuse.store(1, Ordering::SeqCst);
    let (kick, last) = (Notify::new(), LastError::default());
    let ready = connect_until_ready_noting(&target, &kick, None, &last);
    let (session, boot) = timeout(PATIENT, ready).await.unwrap();
    assert_eq!(boot, host_boot());
    assert!(!session.is_closed());
    assert!(last.get().unwrap().contains("authentication failed"));

    let ready = connect_until_ready_noting(&target, &kick, Some(&boot), &last);
    assert!(timeout(Duration::from_millis(700), ready).await.is_err());
    assert!(last.get().unwrap().contains("the boot before"));
    let other = BootId("another".to_owned());
    let ready = connect_until_ready(&target, &kick, Some(&other));
    assert_eq!(timeout(PATIENT, ready).await.unwrap().1, boot);
}

/// Polling goes on as long as the guest refuses, and stops as soon as it does not.
#[tokio::test]
async fn a_refused_attempt_is_repeated_soon_and_an_accepted_one_is_waited_for() {
    let server = Arc::new(Server::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.target(listener.local_addr().unwrap());
    let serving = Arc::clone(&server);
    let another = Arc::new(Notify::new());
    let needless = Arc::clone(&another);
    tokio::spawn(async move {
        for _ in 0..4 {
            drop(listener.accept().await.unwrap());
        }
        let (stream, _) = listener.accept().await.unwrap();
        sleep(Duration::from_secs(3)).await; // a slow fork
        tokio::spawn(serving.serve(stream));
        listener.accept().await.unwrap();
        needless.notify_one();
    });
    let started = Instant::now();
    let kick = Notify::new();
    let ready = connect_until_ready(&target, &kick, None);
    tokio::select! {
        _ = timeout(PATIENT, ready) => {}
        () = another.notified() => panic!("another attempt while sshd was busy with the first"),
    }
    assert!(
        started.elapsed() < Duration::from_secs(6),
        "{:?}",
        started.elapsed()
    );
    assert_eq!(server.state.handshakes.load(Ordering::SeqCst), 1);
}

/// User-mode networking accepts at once; the early connections get no banner for a long time.
#[tokio::test]
async fn a_young_attempt_overtakes_stalled_ones() {
    let server = Arc::new(Server::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.target(listener.local_addr().unwrap());
    let serving = Arc::clone(&server);
    tokio::spawn(async move {
        let mut stalled = Vec::new();
        stalled.push(listener.accept().await.unwrap());
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&serving).serve(stream));
        }
    });
    let started = Instant::now();
    let (kick, last) = (Notify::new(), LastError::default());
    let ready = connect_until_ready_noting(&target, &kick, None, &last);
    timeout(PATIENT, ready).await.unwrap();
    assert!(started.elapsed() >= Duration::from_secs(1));
    assert_eq!(server.state.handshakes.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_kick_starts_an_attempt_and_refusals_are_noted() {
    let server = Arc::new(Server::new());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let target = server.target(listener.local_addr().unwrap());
    drop(listener);
    let (kick, last) = (Notify::new(), LastError::default());
    let ready = connect_until_ready_noting(&target, &kick, None, &last);
    assert!(timeout(Duration::from_millis(100), ready).await.is_err());
    assert_eq!(last.get().unwrap(), "connection refused");

    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.target(listener.local_addr().unwrap());
    let ready = connect_until_ready_noting(&target, &kick, None, &last);
    let count = async {
        let first = listener.accept().await.unwrap();
        kick.notify_one();
        (first, listener.accept().await.unwrap())
    };
    let started = Instant::now();
    tokio::select! {
        _ = ready => panic!("nothing answers"),
        _ = count => {}
    }
    assert!(
        started.elapsed() < Duration::from_millis(1700),
        "{:?}",
        started.elapsed()
    );
}

#[tokio::test]
async fn a_peer_that_stalls_in_the_handshake_does_not_block_others() {
    let server = Arc::new(Server::new());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let target = server.target(listener.local_addr().unwrap());
    let serving = Arc::clone(&server);
    let (kick, stuck) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let stalled = Arc::clone(&stuck);
    tokio::spawn(async move {
        use tokio::io::AsyncWriteExt;
        let (mut first, _) = listener.accept().await.unwrap();
        first.write_all(b"SSH-2.0-stalls\r\n").await.unwrap();
        stalled.notify_one();
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            tokio::spawn(Arc::clone(&serving).serve(stream));
        }
    });
    let ready = connect_until_ready(&target, &kick, None);
    let kicks = async {
        stuck.notified().await;
        sleep(Duration::from_millis(50)).await; // the banner is being read
        kick.notify_one();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        (_, boot) = ready => assert_eq!(boot, host_boot()),
        () = kicks => {}
        () = sleep(Duration::from_secs(4)) => panic!("the stalled handshake blocked the rest"),
    }
}
