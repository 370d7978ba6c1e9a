use std::time::Duration;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;
use tokio::time::timeout;

use super::*;

const PATIENCE: Duration = Duration::from_secs(10);

fn network() -> Arc<dyn PrivateNetwork> {
    Arc::new(Switch::new())
}

/// Plugs in the other end of a machine's cable, as QEMU would be.
fn plug(network: &Arc<dyn PrivateNetwork>, machine: u32) -> UnixStream {
    let attachment = Attachment {
        network: Arc::clone(network),
        machine,
    };
    let plug = Switch::plug(&attachment, &format!("qemu{machine}")).unwrap();
    assert_eq!(plug.mac, format!("52:55:00:d1:57:{machine:02x}"));
    let socket = std::os::unix::net::UnixStream::from(plug.socket);
    socket.set_nonblocking(true).unwrap();
    UnixStream::from_std(socket).unwrap()
}

fn broadcast(machine: u32, tag: u8) -> Frame {
    let mac = addresses::mac(machine).0;
    Frame::new(&[&[0xff; 6][..], &mac, &[0x88, 0xb5, tag]].concat()).unwrap()
}

async fn tag(socket: &mut UnixStream) -> u8 {
    let frame = timeout(PATIENCE, Frame::read(socket)).await.unwrap();
    frame.unwrap().unwrap().ethernet()[14]
}

#[tokio::test]
async fn frames_go_from_socket_to_socket() {
    let dir = tempfile::tempdir().unwrap();
    let network = network();
    let [mut one, mut two, mut three] = [0, 1, 2].map(|machine| plug(&network, machine));
    let path = dir.path().join("network.pcap");
    network.start_capture(&path).unwrap();
    one.write_all(broadcast(0, 1).wire()).await.unwrap();
    assert_eq!((tag(&mut two).await, tag(&mut three).await), (1, 1));
    network.partition(&[&[0, 1], &[2]]);
    one.write_all(broadcast(0, 2).wire()).await.unwrap();
    assert_eq!(tag(&mut two).await, 2);
    network.join();
    one.write_all(broadcast(0, 3).wire()).await.unwrap();
    assert_eq!((tag(&mut two).await, tag(&mut three).await), (3, 3));
    network.stop_capture().unwrap();
    network.stop_capture().unwrap();
    // Head of the file, and of each frame.
    let length = std::fs::metadata(&path).unwrap().len();
    assert_eq!(length, 24 + 3 * (16 + 15));
    let error = network
        .start_capture(&dir.path().join("no/where"))
        .unwrap_err();
    assert!(error.to_string().contains("no/where"), "{error}");
}

#[tokio::test(start_paused = true)]
async fn a_slow_cable_is_waited_for_and_may_become_a_fast_one() {
    let network = network();
    let [mut one, mut two] = [0, 1].map(|machine| plug(&network, machine));
    let delay = Duration::from_secs(5);
    network.set_cable(1, Cable { loss: 0.0, delay });
    let began = Instant::now();
    one.write_all(broadcast(0, 1).wire()).await.unwrap();
    assert_eq!(tag(&mut two).await, 1);
    assert_eq!(began.elapsed(), delay);
    network.set_cable(1, Cable::default());
    one.write_all(broadcast(0, 2).wire()).await.unwrap();
    assert_eq!(tag(&mut two).await, 2);
    assert_eq!(began.elapsed(), delay);
}

#[tokio::test]
async fn who_is_gone_or_talks_nonsense_is_left_out() {
    let network = network();
    let [mut one, mut two, mut three] = [0, 1, 2].map(|machine| plug(&network, machine));
    two.write_all(&[0xff; 8]).await.unwrap();
    // Our end is closed.
    assert_eq!(
        timeout(PATIENCE, Frame::read(&mut two))
            .await
            .unwrap()
            .unwrap(),
        None
    );
    drop(two);
    one.write_all(broadcast(0, 1).wire()).await.unwrap();
    assert_eq!(tag(&mut three).await, 1);
    let attachment = Attachment {
        network,
        machine: 1,
    };
    let error = Switch::plug(&attachment, "qemu1").unwrap_err();
    assert!(error.to_string().contains("attached before"), "{error}");
    let attachment = Attachment {
        machine: 200,
        ..attachment
    };
    assert!(Switch::plug(&attachment, "qemu200").is_err());
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody() {
    let network = network();
    let [mut one, mut two, _deaf] = [0, 1, 2].map(|machine| plug(&network, machine));
    let large = [&broadcast(0, 0).ethernet()[..14], &[7; 60_000]].concat();
    let large = Frame::new(&large).unwrap();
    for _ in 0..100 {
        timeout(PATIENCE, one.write_all(large.wire()))
            .await
            .unwrap()
            .unwrap();
        assert_eq!(tag(&mut two).await, 7);
    }
}
