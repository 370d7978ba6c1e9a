//! An SSH server in this process that runs commands with this host's `sh`, and counts what it sees.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::process::Stdio;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use russh::keys::PrivateKey;
use russh::server::{self, Auth, ChannelOpenHandle, Msg, Session, VerifiedPublicKey};
use russh::{Channel, ChannelId, ChannelOpenFailure, Sig};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::{ChildStdin, Command};
use tokio::sync::Notify;

use super::{SshKey, SshTarget};

/// What the server saw, and how it behaves.
#[derive(Debug, Default)]
pub(super) struct State {
    /// Connections that got as far as a handshake.
    pub(super) handshakes: AtomicUsize,
    /// Channels that are open now, and how many were open at most.
    pub(super) channels: AtomicUsize,
    /// Commands that were killed.
    pub(super) killed: AtomicUsize,
    /// Notified whenever a channel has closed.
    pub(super) closed: Notify,
    /// How many logins are to be refused.
    pub(super) refuse: AtomicUsize,
}

/// A server for one user and key.
pub(super) struct Server {
    pub(super) state: Arc<State>,
    key: Arc<SshKey>,
    config: Arc<server::Config>,
}

impl Server {
    pub(super) fn new() -> Server {
        let host_key = SshKey::generate().unwrap();
        Server {
            state: Arc::default(),
            key: Arc::new(SshKey::generate().unwrap()),
            config: Arc::new(server::Config {
                keys: vec![PrivateKey::clone(&host_key.private())],
                auth_rejection_time: Duration::from_millis(1),
                ..server::Config::default()
            }),
        }
    }

    pub(super) fn target(&self, address: SocketAddr) -> SshTarget {
        SshTarget {
            address,
            user: "core".to_owned(),
            key: Arc::clone(&self.key),
            keepalive: Duration::from_secs(5),
        }
    }

    /// Accepts every connection.
    pub(super) async fn listen(self: &Arc<Self>) -> SshTarget {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = self.target(listener.local_addr().unwrap());
        let server = Arc::clone(self);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(Arc::clone(&server).serve(stream));
            }
        });
        target
    }

    /// Serves one connection to its end.
    pub(super) async fn serve(self: Arc<Self>, stream: TcpStream) {
        let handler = Handler {
            state: Arc::clone(&self.state),
            key: self.key.public_line().to_owned(),
            inputs: HashMap::new(),
            kills: HashMap::new(),
        };
        if let Ok(session) = server::run_stream(Arc::clone(&self.config), stream, handler).await {
            self.state.handshakes.fetch_add(1, Ordering::SeqCst);
            let _ = session.await;
        }
    }
}

struct Handler {
    state: Arc<State>,
    key: String,
    inputs: HashMap<ChannelId, Arc<Mutex<Option<ChildStdin>>>>,
    kills: HashMap<ChannelId, Arc<Notify>>,
}

impl server::Handler for Handler {
    type Error = russh::Error;

    async fn auth_publickey(
        &mut self,
        user: &str,
        key: VerifiedPublicKey<'_>,
    ) -> Result<Auth, Self::Error> {
        let refused = self
            .state
            .refuse
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |left| {
                left.checked_sub(1)
            })
            .is_ok();
        let line = key.public_key.to_openssh().unwrap();
        let known = user == "core" && self.key.starts_with(line.trim());
        Ok(if known && !refused {
            Auth::Accept
        } else {
            Auth::reject()
        })
    }

    async fn channel_open_session(
        &mut self,
        _channel: Channel<Msg>,
        reply: ChannelOpenHandle,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        // OpenSSH's MaxSessions
        if self.state.channels.fetch_add(1, Ordering::SeqCst) >= 10 {
            self.state.channels.fetch_sub(1, Ordering::SeqCst);
            reply.reject(ChannelOpenFailure::ConnectFailed).await;
        } else {
            reply.accept().await;
        }
        Ok(())
    }

    async fn channel_close(
        &mut self,
        _channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.state.channels.fetch_sub(1, Ordering::SeqCst);
        self.state.closed.notify_one();
        Ok(())
    }

    async fn data(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        if let Some(slot) = self.inputs.get(&channel) {
            let stdin = slot.lock().unwrap().take();
            if let Some(mut stdin) = stdin
                && stdin.write_all(data).await.is_ok()
            {
                *slot.lock().unwrap() = Some(stdin);
            }
        }
        Ok(())
    }

    async fn channel_eof(
        &mut self,
        channel: ChannelId,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        self.inputs.remove(&channel);
        Ok(())
    }

    async fn signal(
        &mut self,
        channel: ChannelId,
        signal: Sig,
        _session: &mut Session,
    ) -> Result<(), Self::Error> {
        assert!(matches!(signal, Sig::KILL));
        if let Some(kill) = self.kills.get(&channel) {
            kill.notify_one();
        }
        Ok(())
    }

    async fn exec_request(
        &mut self,
        channel: ChannelId,
        data: &[u8],
        session: &mut Session,
    ) -> Result<(), Self::Error> {
        let mut child = Command::new("sh")
            .arg("-c")
            .arg(String::from_utf8_lossy(data).as_ref())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()?;
        session.channel_success(channel)?;
        self.inputs
            .insert(channel, Arc::new(Mutex::new(child.stdin.take())));
        let kill = Arc::new(Notify::new());
        self.kills.insert(channel, Arc::clone(&kill));
        let (handle, state) = (session.handle(), Arc::clone(&self.state));
        tokio::spawn(async move {
            let (mut stdout, mut stderr) =
                (child.stdout.take().unwrap(), child.stderr.take().unwrap());
            let (mut out, mut err) = (vec![0; 16384], vec![0; 16384]);
            let (mut out_open, mut err_open) = (true, true);
            while out_open || err_open {
                tokio::select! {
                    read = stdout.read(&mut out), if out_open => match read {
                        Ok(count) if count > 0 => {
                            let _ = handle.data(channel, out[..count].to_vec()).await;
                        }
                        _ => out_open = false,
                    },
                    read = stderr.read(&mut err), if err_open => match read {
                        Ok(count) if count > 0 => {
                            let _ = handle.extended_data(channel, 1, err[..count].to_vec()).await;
                        }
                        _ => err_open = false,
                    },
                    () = kill.notified() => {
                        state.killed.fetch_add(1, Ordering::SeqCst);
                        let _ = child.kill().await;
                        return;
                    }
                }
            }
            let status = child.wait().await.unwrap();
            use std::os::unix::process::ExitStatusExt;
            match (status.code(), status.signal()) {
                (Some(code), _) => {
                    let code = u32::try_from(code).unwrap();
                    let _ = handle.exit_status_request(channel, code).await;
                }
                (None, signal) => {
                    let name = if signal == Some(15) {
                        Sig::TERM
                    } else {
                        Sig::KILL
                    };
                    let _ = handle
                        .exit_signal_request(channel, name, false, String::new(), String::new())
                        .await;
                }
            }
            let _ = handle.eof(channel).await;
            let _ = handle.close(channel).await;
        });
        Ok(())
    }
}
