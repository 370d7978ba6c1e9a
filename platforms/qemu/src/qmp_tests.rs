use tokio::io::AsyncReadExt;

use super::*;

const GREETING: &[u8] = b"{\"QMP\": {\"version\": {}, \"capabilities\": [\"oob\"]}}\r\n";

async fn read_line(server: &mut UnixStream) -> Value {
    let mut line = Vec::new();
    loop {
        let byte = server.read_u8().await.unwrap();
        if byte == b'\n' {
            return serde_json::from_slice(&line).unwrap();
        }
        line.push(byte);
    }
}

async fn greeted() -> (UnixStream, Qmp, mpsc::UnboundedReceiver<QmpEvent>) {
    let (mut server, client) = UnixStream::pair().unwrap();
    let (qmp, events) = Qmp::start(client);
    server.write_all(GREETING).await.unwrap();
    assert_eq!(
        read_line(&mut server).await["execute"],
        json!("qmp_capabilities")
    );
    server.write_all(b"{\"return\": {}}\n").await.unwrap();
    (server, qmp, events)
}

#[tokio::test]
async fn a_caller_that_gives_up_disturbs_nobody() {
    let (mut server, qmp, _events) = greeted().await;
    let impatient = tokio::spawn({
        let qmp = qmp.clone();
        async move { qmp.execute("query-block", json!({})).await }
    });
    assert_eq!(
        read_line(&mut server).await["execute"],
        json!("query-block")
    );
    impatient.abort();
    assert!(impatient.await.unwrap_err().is_cancelled());

    let patient = tokio::spawn(async move { qmp.execute("query-status", json!({})).await });
    // The answer to the first command must not be taken for one to the second.
    server
        .write_all(b"{\"return\": \"first\"}\n")
        .await
        .unwrap();
    assert_eq!(
        read_line(&mut server).await["execute"],
        json!("query-status")
    );
    server
        .write_all(b"{\"return\": \"second\"}\n")
        .await
        .unwrap();
    assert_eq!(patient.await.unwrap(), Ok(json!("second")));
}

#[tokio::test]
async fn unknown_events_and_garbage_end_nothing() {
    let (mut server, _qmp, mut events) = greeted().await;
    server
        .write_all(
            b"not json\n{\"event\": \"FROM_THE_FUTURE\", \"data\": {}}\n\
              {\"event\": \"BLOCK_IO_ERROR\", \"data\": {\"nospace\": true, \"action\": \"stop\", \"reason\": \"No space\"}}\n\
              {\"event\": \"SHUTDOWN\", \"data\": {\"guest\": true, \"reason\": \"guest-shutdown\"}}\n",
        )
        .await
        .unwrap();
    assert_eq!(
        events.recv().await,
        Some(QmpEvent::BlockIoError {
            no_space: true,
            action: "stop".to_owned(),
            reason: "No space".to_owned(),
        })
    );
    assert_eq!(
        events.recv().await,
        Some(QmpEvent::Shutdown {
            guest: true,
            reason: "guest-shutdown".to_owned(),
        })
    );
    drop(server);
    assert_eq!(events.recv().await, None);
}

#[tokio::test]
async fn a_refusal_and_a_death_are_told_apart() {
    let (mut server, qmp, _events) = greeted().await;
    let refused = tokio::spawn({
        let qmp = qmp.clone();
        async move { qmp.execute("cont", json!({})).await }
    });
    read_line(&mut server).await;
    server
        .write_all(b"{\"error\": {\"class\": \"GenericError\", \"desc\": \"no\"}}\n")
        .await
        .unwrap();
    let refusal = QmpError::Refused {
        command: "cont".to_owned(),
        message: "no".to_owned(),
    };
    assert_eq!(refused.await.unwrap(), Err(refusal));
    drop(server);
    assert_eq!(qmp.execute("cont", json!({})).await, Err(QmpError::Closed));
}

#[test]
fn forwarded_ports_are_found() {
    let text = "Hub -1 (eth1):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n\
                Hub -1 (eth0):\r\n  Protocol[State]    FD  Source Address  Port   Dest. Address  Port RecvQ SendQ\r\n  \
                TCP[HOST_FORWARD]  11       127.0.0.1  2049       10.0.2.15  2049     0     0\r\n  \
                TCP[HOST_FORWARD]  10       127.0.0.1 36807       10.0.2.15    22     0     0\r\n";
    assert_eq!(forwards(text), BTreeMap::from([(22, 36807), (2049, 2049)]));
    assert!(forwards("nothing").is_empty());
}
