//! Waiting for a guest that boots.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;
use tokio::time::{Instant, sleep_until};

use super::session::dial;
use super::{SshSession, SshTarget};
use crate::{BootId, Exec, MachineError};

/// A new attempt starts this long after the one before. An attempt that comes before the guest's network is up waits in
/// TCP's back-off (1, 2, 4 s…), so that a young attempt overtakes an old one.
const INTERVAL: Duration = Duration::from_millis(250);
/// An attempt without a banner is dropped after this time. A loaded, emulated sshd takes a good part of it to fork.
const BANNER_TIMEOUT: Duration = Duration::from_millis(1500);
/// How many attempts may wait for their banner.
const IN_FLIGHT: usize = 6;
/// How long we wait for a handshake to end before others may start beside it. Every real connection costs an
/// emulated sshd hundreds of milliseconds, so attempts must not outrun each other.
const PATIENCE: Duration = Duration::from_secs(5);
/// A handshake is given up after this time: the guest may have gone down in its middle.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(30);

/// Shows the last thing that went wrong while waiting for a guest, for the message of a time-out.
#[derive(Clone, Debug, Default)]
pub struct LastError(Arc<Mutex<Option<Cow<'static, str>>>>);

impl LastError {
    /// One line, such as `connection refused`; `None` before the first failure.
    pub fn get(&self) -> Option<String> {
        let last = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_deref().map(str::to_owned)
    }

    fn set(&self, error: Cow<'static, str>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Goes on trying to connect until a command has run in a boot other than `previous`; never gives up. A new attempt starts
/// at least every 250 ms, and at once whenever `kick` is notified (the guest said that sshd has started).
pub async fn connect_until_ready(
    target: &SshTarget,
    kick: &Notify,
    previous: Option<&BootId>,
) -> (SshSession, BootId) {
    connect_until_ready_noting(target, kick, previous, &LastError::default()).await
}

/// [`connect_until_ready`] that notes why there is no answer yet.
pub async fn connect_until_ready_noting(
    target: &SshTarget,
    kick: &Notify,
    previous: Option<&BootId>,
    last: &LastError,
) -> (SshSession, BootId) {
    let mut dialling = FuturesUnordered::new();
    let mut shaking = FuturesUnordered::new();
    let mut next = Instant::now();
    loop {
        tokio::select! {
            biased;
            Some(result) = shaking.next(), if !shaking.is_empty() => match result {
                Ok((session, boot)) if Some(&boot) != previous => return (session, boot),
                Ok(_) => {
                    last.set(Cow::Borrowed("the guest still answers from the boot before"));
                    next = Instant::now() + INTERVAL;
                }
                Err(error) => {
                    last.set(error);
                    next = Instant::now() + INTERVAL;
                }
            },
            Some(result) = dialling.next(), if !dialling.is_empty() => match result {
                Ok(stream) => {
                    dialling.clear();
                    shaking.push(probe(target, stream));
                    next = Instant::now() + PATIENCE;
                }
                Err(error) => last.set(error),
            },
            () = kick.notified() => {
                if dialling.len() >= IN_FLIGHT {
                    dialling.clear(); // all of them came before sshd
                }
                next = Instant::now();
            }
            () = sleep_until(next), if dialling.len() < IN_FLIGHT => {
                dialling.push(dial(target, BANNER_TIMEOUT));
                next = Instant::now() + INTERVAL;
            }
        }
    }
}

/// Logs in and reads the boot's id.
async fn probe(
    target: &SshTarget,
    stream: tokio::net::TcpStream,
) -> Result<(SshSession, BootId), Cow<'static, str>> {
    let attempt = async {
        let session = SshSession::handshake(target, stream).await?;
        // Shell built-ins only: a process costs an emulated guest more than the rest of this exchange.
        let exec = Exec {
            label: "ready",
            command: "read -r id </proc/sys/kernel/random/boot_id && echo \"$id\"".to_owned(),
            stdin: Vec::new(),
        };
        let output = session.exec(&exec).await?;
        let boot = output.stdout_text().trim().to_owned();
        if output.status != 0 || boot.is_empty() {
            return Err(MachineError::Ssh(format!(
                "the guest's shell cannot read the boot id (status {}): {}",
                output.status,
                output.stderr_text().trim()
            )));
        }
        Ok((session, BootId(boot)))
    };
    match tokio::time::timeout(HANDSHAKE_TIMEOUT, attempt).await {
        Ok(Ok(ready)) => Ok(ready),
        Ok(Err(MachineError::Ssh(message))) => Err(Cow::Owned(message)),
        Ok(Err(error)) => Err(Cow::Owned(error.to_string())),
        Err(_) => Err(Cow::Borrowed("the SSH handshake stalled")),
    }
}
