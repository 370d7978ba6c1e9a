//! Waiting for a guest that boots.

use std::borrow::Cow;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

use super::session::{KEY_REFUSED, REFUSED, dial};
use super::{SshSession, SshTarget};
use crate::{BootId, Exec, MachineError, RunBy};

/// A new attempt starts this long after one that was refused: the guest is on the network, and a refusal costs it nothing.
const INTERVAL: Duration = Duration::from_millis(250);
/// A silent attempt is another matter. QEMU's network stack delivers it when the guest's network has come up, even if we have
/// dropped it long before, and sshd forks for each: hundreds of milliseconds of an emulated CPU. (With an attempt each
/// 250 ms, sshd was busy with nothing else for 25 s after it had started.) So silent attempts are few, and all of them
/// are kept; the pace is this fraction of the time waited, within these limits.
const PACE: u32 = 5;
const FASTEST: Duration = Duration::from_secs(2);
const SLOWEST: Duration = Duration::from_secs(6);
/// A kick starts an attempt beside a silent one no sooner than this after that.
const KICK_INTERVAL: Duration = Duration::from_secs(1);
/// How long the next attempt waits for one that has probably reached sshd.
const PATIENCE: Duration = Duration::from_secs(5);
/// How many attempts may wait for their banner (sshd drops connections from ten on).
const IN_FLIGHT: usize = 8;
/// How long an attempt waits for its banner.
const LIFETIME: Duration = Duration::from_secs(30);
/// A handshake is given up after this time: the guest may have gone down in its middle.
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(60);

/// Shows the last thing that went wrong while waiting for a guest, for the message of a time-out.
#[derive(Clone, Debug, Default)]
pub struct LastError {
    last: Arc<Mutex<Option<Cow<'static, str>>>>,
    refusing: Arc<watch::Sender<bool>>,
}

impl LastError {
    /// One line, such as `connection refused`; `None` before the first failure.
    pub fn get(&self) -> Option<String> {
        let last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        last.as_deref().map(str::to_owned)
    }

    /// Waits until the guest has refused our key, and nothing else has come in between, for `patience`: a guest that boots may
    /// refuse everybody for a while, and one that goes down, too. Meant to be raced against the waiting for the guest.
    pub async fn locked_out(&self, patience: Duration) {
        let mut refusing = self.refusing.subscribe();
        loop {
            // The sender lives as long as we do.
            drop(refusing.wait_for(|refusing| *refusing).await);
            let stops = refusing.wait_for(|refusing| !*refusing);
            if tokio::time::timeout(patience, stops).await.is_err() {
                return;
            }
        }
    }

    fn set(&self, error: Cow<'static, str>) {
        let refused = error.starts_with(KEY_REFUSED);
        self.refusing
            .send_if_modified(|refusing| std::mem::replace(refusing, refused) != refused);
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some(error);
    }
}

/// Goes on trying to connect until a command has run in a boot other than `previous`; never gives up. A new attempt starts
/// 250 ms after one that was refused, seconds after one that is silent, and at once when `kick` is notified (a second
/// after one that is silent). The caller should do so when the guest says that sshd has started, and only then.
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
    let started = Instant::now();
    let mut next = started;
    let mut latest = started;
    // Whether the guest is known to be on the network: then an attempt that is not refused has reached sshd, and there
    // is nothing to be gained from another.
    let mut reachable = false;
    loop {
        tokio::select! {
            biased;
            Some(result) = shaking.next(), if !shaking.is_empty() => {
                match result {
                    Ok((session, boot)) if Some(&boot) != previous => return (session, boot),
                    Ok(_) => last.set(Cow::Borrowed(SAME_BOOT)),
                    Err(error) => last.set(error),
                }
                next = Instant::now() + INTERVAL;
            }
            Some(result) = dialling.next(), if !dialling.is_empty() => match result {
                Ok(stream) => {
                    dialling.clear();
                    shaking.push(probe(target, stream));
                    next = Instant::now() + PATIENCE;
                }
                Err(error) => {
                    if error == REFUSED {
                        reachable = true;
                        next = next.min(Instant::now() + INTERVAL);
                    }
                    last.set(error);
                }
            },
            () = kick.notified() => {
                if dialling.len() >= IN_FLIGHT {
                    dialling.clear(); // all of them came before sshd
                }
                reachable = true;
                // The guest says it in several ways (its sshd, its service manager), and one attempt is enough.
                next = if dialling.is_empty() { Instant::now() } else { latest + KICK_INTERVAL };
            }
            () = sleep_until(next), if dialling.len() < IN_FLIGHT => {
                dialling.push(dial(target, LIFETIME));
                latest = Instant::now();
                next = Instant::now()
                    + if reachable || !shaking.is_empty() {
                        PATIENCE
                    } else {
                        (started.elapsed() / PACE).clamp(FASTEST, SLOWEST)
                    };
                // A guest that goes down refuses as well; so this holds for one attempt.
                reachable = false;
            }
        }
    }
}

const SAME_BOOT: &str = "the guest still answers from the boot before";

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
            by: RunBy::User,
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
