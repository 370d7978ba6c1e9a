//! Between a machine's socket and the switch. Both tasks end when QEMU does.

use std::io;
use std::sync::Arc;

use tokio::io::{AsyncWriteExt, BufReader};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::Notify;
use tokio::time::sleep_until;

use super::Shared;
use super::fabric::Next;
use super::frame::Frame;

/// How much is read at once: frames come in bursts.
const BUFFER: usize = 64 << 10;

/// Serves a machine. `wake`: told when there is something for it.
pub fn start(shared: &Arc<Shared>, machine: u32, socket: UnixStream, wake: Arc<Notify>) {
    let (from, to) = socket.into_split();
    tokio::spawn(read(Arc::clone(shared), machine, from));
    tokio::spawn(write(Arc::clone(shared), machine, to, wake));
}

async fn read(shared: Arc<Shared>, machine: u32, from: OwnedReadHalf) {
    let mut from = BufReader::with_capacity(BUFFER, from);
    loop {
        match Frame::read(&mut from).await {
            Ok(Some(frame)) => shared.receive(machine, &frame),
            Ok(None) => break,
            Err(error) if error.kind() == io::ErrorKind::InvalidData => {
                tracing::warn!("machine {machine} leaves its private network: QEMU sent {error}");
                break;
            }
            // It was killed.
            Err(_) => break,
        }
    }
    shared.detach(machine);
}

async fn write(shared: Arc<Shared>, machine: u32, mut to: OwnedWriteHalf, wake: Arc<Notify>) {
    loop {
        match shared.next(machine) {
            Next::Frame(frame) => {
                if to.write_all(frame.wire()).await.is_err() {
                    return;
                }
            }
            Next::At(time) => tokio::select! {
                () = sleep_until(shared.began + time) => {}
                () = wake.notified() => {}
            },
            Next::Nothing => wake.notified().await,
            Next::Detached => return,
        }
    }
}
