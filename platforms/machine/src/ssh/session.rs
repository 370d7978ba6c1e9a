//! A connection, and commands on it.

use std::borrow::Cow;
use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use russh::client::{self, AuthResult, DisconnectReason, Handle, Msg};
use russh::keys::{PrivateKeyWithHashAlg, PublicKeyOrCertificate};
use russh::{Channel, ChannelMsg, ChannelWriteHalf, Sig};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use super::SshTarget;
use super::config::client_config;
use crate::{Exec, ExecOutput, MachineError};

/// An authenticated connection. Dropping it closes the connection.
pub struct SshSession {
    handle: Arc<Handle<Client>>,
    user: String,
    lost: Arc<Mutex<Option<String>>>,
    _hangup: Hangup,
}

impl fmt::Debug for SshSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SshSession")
            .field("closed", &self.is_closed())
            .finish()
    }
}

impl SshSession {
    /// Connects, waits for sshd's banner no longer than `banner_timeout`, shakes hands and logs in.
    pub async fn connect(
        target: &SshTarget,
        banner_timeout: Duration,
    ) -> Result<SshSession, MachineError> {
        let stream = dial(target, banner_timeout)
            .await
            .map_err(|error| MachineError::Ssh(error.into_owned()))?;
        SshSession::handshake(target, stream).await
    }

    /// Shakes hands over a connection whose banner waits to be read, and logs in.
    pub(super) async fn handshake(
        target: &SshTarget,
        stream: TcpStream,
    ) -> Result<SshSession, MachineError> {
        let fault = |doing: &str, error: &dyn fmt::Display| {
            MachineError::Ssh(format!("{doing} failed: {error}"))
        };
        let hangup = Hangup::of(&stream).map_err(|error| fault("the handshake", &error))?;
        let lost = Arc::default();
        let client = Client {
            lost: Arc::clone(&lost),
        };
        let config = Arc::new(client_config(target.keepalive));
        let mut handle = client::connect_stream(config, stream, client)
            .await
            .map_err(|error| fault("the handshake", &error))?;
        let key = PrivateKeyWithHashAlg::new(target.key.private(), None);
        let answer = handle
            .authenticate_publickey(target.user.as_str(), key)
            .await
            .map_err(|error| fault("authentication", &error))?;
        if !matches!(answer, AuthResult::Success) {
            return Err(MachineError::Ssh(if handle.is_closed() {
                "the connection was closed during authentication".to_owned()
            } else {
                format!("{KEY_REFUSED} for user `{}`", target.user)
            }));
        }
        Ok(SshSession {
            handle: Arc::new(handle),
            user: target.user.clone(),
            lost,
            _hangup: hangup,
        })
    }

    /// Whether the connection is known to be broken.
    pub fn is_closed(&self) -> bool {
        self.handle.is_closed()
    }

    /// Runs a command and waits for its end, which is when it has exited *and* closed its output. Dropping the future
    /// kills the command's process group (as far as the guest's user may) and gives the channel back.
    pub async fn exec(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        let label = exec.label;
        let channel = self
            .open()
            .await
            .map_err(|error| self.broken(label, "no channel", Some(&error)))?;
        let (mut reader, writer) = channel.split();
        let writer = Arc::new(writer);
        let mut guard = ChannelGuard(Some(Arc::clone(&writer)));
        writer
            .exec(true, exec.over_ssh(&self.user).as_bytes())
            .await
            .map_err(|error| self.broken(label, "the command was not sent", Some(&error)))?;

        let mut output = ExecOutput::default();
        let mut status = None;
        // Unread input must not keep us from reading output, and output not from sending input.
        let feed = async {
            if !exec.stdin.is_empty() {
                writer.data_bytes(exec.stdin.clone()).await?;
            }
            writer.eof().await
        };
        tokio::pin!(feed);
        let mut fed = false;
        loop {
            let message = tokio::select! {
                message = reader.wait() => message,
                _ = &mut feed, if !fed => {
                    // A failure to send shows in what comes next: a status, or the end of the connection.
                    fed = true;
                    continue;
                }
            };
            match message {
                Some(ChannelMsg::Data { data }) => keep(&mut output.stdout, &data),
                Some(ChannelMsg::ExtendedData { data, ext: 1 }) => keep(&mut output.stderr, &data),
                Some(ChannelMsg::ExitStatus { exit_status }) => {
                    status = Some(i32::try_from(exit_status).unwrap_or(i32::MAX));
                }
                Some(ChannelMsg::ExitSignal { signal_name, .. }) => {
                    status = Some(128 + signal_number(&signal_name));
                }
                Some(ChannelMsg::Failure) => {
                    return Err(MachineError::Ssh(format!(
                        "running `{label}`: sshd refused to run a command"
                    )));
                }
                Some(ChannelMsg::Close) | None => break,
                Some(_) => {}
            }
        }
        match status {
            Some(status) => {
                guard.0 = None; // the guest has closed the channel
                output.status = status;
                Ok(output)
            }
            None if self.is_closed() => Err(self.broken(label, "the connection broke", None)),
            None => Err(self.broken(label, "the channel closed without an exit status", None)),
        }
    }

    /// Opens a channel. A channel that is confirmed after nobody waits for it any more is closed again: sshd allows ten
    /// at a time (`MaxSessions`).
    async fn open(&self) -> Result<Channel<Msg>, russh::Error> {
        let handle = Arc::clone(&self.handle);
        let (sender, receiver) = oneshot::channel();
        tokio::spawn(async move {
            let opened = handle.channel_open_session().await;
            if let Err(Ok(unwanted)) = sender.send(opened) {
                let _ = unwanted.close().await;
            }
        });
        receiver.await.unwrap_or(Err(russh::Error::RecvError))
    }

    fn broken(&self, label: &str, what: &str, error: Option<&russh::Error>) -> MachineError {
        let lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        let why = match (lost.as_deref(), error) {
            (Some(reason), _) => format!(": {reason}"),
            (None, Some(error)) => format!(": {error}"),
            (None, None) => String::new(),
        };
        MachineError::Ssh(format!("running `{label}`: {what}{why}"))
    }
}

/// Connects and waits until the peer has sent the first byte of its banner, which stays unread. User-mode networking
/// accepts a connection on the guest's behalf before anything in the guest listens, so that a connection as such
/// means nothing.
pub(super) async fn dial(
    target: &SshTarget,
    banner_timeout: Duration,
) -> Result<TcpStream, Cow<'static, str>> {
    let waiting = async {
        let stream =
            TcpStream::connect(target.address)
                .await
                .map_err(|error| match error.kind() {
                    io::ErrorKind::ConnectionRefused => Cow::Borrowed("connection refused"),
                    _ => Cow::Owned(format!("cannot connect: {error}")),
                })?;
        let mut banner = [0; 64];
        match stream.peek(&mut banner).await {
            Ok(0) => Err(Cow::Borrowed(REFUSED)),
            // What sshd says instead of its banner when too many connections wait for their login.
            Ok(length) if banner[..length].starts_with(b"Exceeded") => Err(Cow::Owned(
                String::from_utf8_lossy(&banner[..length]).trim().to_owned(),
            )),
            Ok(_) => Ok(stream),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                Err(Cow::Borrowed(REFUSED))
            }
            Err(error) => Err(Cow::Owned(format!("connection lost: {error}"))),
        }
    };
    timeout(banner_timeout, waiting)
        .await
        .unwrap_or(Err(Cow::Borrowed("no banner: sshd does not answer yet")))
}

/// What [`dial`] says when the guest is on the network, and nothing listens.
pub(super) const REFUSED: &str = "connection refused by the guest";

/// What an attempt ends with that sshd did not let in.
pub(super) const KEY_REFUSED: &str = "authentication failed: the guest does not accept our key";

fn keep(buffer: &mut Vec<u8>, data: &[u8]) {
    let room = ExecOutput::LIMIT.saturating_sub(buffer.len());
    buffer.extend_from_slice(&data[..data.len().min(room)]);
}

/// The numbers that Linux gives to the signals that SSH names (RFC 4254, 6.10).
fn signal_number(signal: &Sig) -> i32 {
    match signal {
        Sig::HUP => 1,
        Sig::INT => 2,
        Sig::QUIT => 3,
        Sig::ILL => 4,
        Sig::ABRT => 6,
        Sig::FPE => 8,
        Sig::KILL => 9,
        Sig::USR1 => 10,
        Sig::SEGV => 11,
        Sig::PIPE => 13,
        Sig::ALRM => 14,
        Sig::TERM => 15,
        Sig::Custom(_) => 127,
    }
}

/// Kills the command and closes the channel when it is dropped: russh does neither, and channels run out.
struct ChannelGuard(Option<Arc<ChannelWriteHalf<Msg>>>);

impl Drop for ChannelGuard {
    fn drop(&mut self) {
        if let (Some(channel), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(async move {
                let _ = channel.signal(Sig::KILL).await;
                let _ = channel.close().await;
            });
        }
    }
}

/// Ends the connection when it is dropped. Dropping russh's own objects during a key exchange leaves their task waiting
/// for a peer that may never answer.
#[derive(Debug)]
struct Hangup(std::net::TcpStream);

impl Hangup {
    fn of(stream: &TcpStream) -> io::Result<Hangup> {
        Ok(Hangup(stream.as_fd().try_clone_to_owned()?.into()))
    }
}

impl Drop for Hangup {
    fn drop(&mut self) {
        let _ = self.0.shutdown(std::net::Shutdown::Both);
    }
}

/// What russh asks of us: to accept the host key, and to hear why a connection ended.
#[derive(Debug)]
pub(super) struct Client {
    lost: Arc<Mutex<Option<String>>>,
}

impl client::Handler for Client {
    type Error = russh::Error;

    async fn check_server_key(
        &mut self,
        _key: &PublicKeyOrCertificate,
    ) -> Result<bool, Self::Error> {
        Ok(true)
    }

    async fn disconnected(
        &mut self,
        reason: DisconnectReason<Self::Error>,
    ) -> Result<(), Self::Error> {
        let mut lost = self.lost.lock().unwrap_or_else(PoisonError::into_inner);
        match reason {
            DisconnectReason::ReceivedDisconnect(info) => {
                *lost = Some(format!("the guest disconnected: {}", info.message));
                Ok(())
            }
            DisconnectReason::Error(error) => {
                *lost = Some(error.to_string());
                Err(error)
            }
        }
    }
}
