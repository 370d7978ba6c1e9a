//! A client for QEMU's monitor (QMP): JSON, one message a line, over a socket that was connected before QEMU started.
//!
//! One task owns the socket. Commands run to their end one after the other; a caller that gives up loses the answer and
//! nothing else. Events that are not known here are ignored, so a newer QEMU is as good as an older one. Why not the
//! qapi crate: docs/decisions/0001-own-qmp-client.md.

use std::collections::VecDeque;

use serde_json::{Value, json};
use thiserror::Error;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};

/// Why a command has no result.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum QmpError {
    /// QEMU is gone, or closed the monitor.
    #[error("the monitor of QEMU is closed")]
    Closed,
    /// QEMU refused the command.
    #[error("QEMU refused {command}: {message}")]
    Refused {
        /// The command.
        command: String,
        /// QEMU's words.
        message: String,
    },
}

/// What QEMU tells by itself, as far as it matters here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum QmpEvent {
    /// QEMU is about to exit.
    Shutdown {
        /// Whether the guest wanted it.
        guest: bool,
        /// QEMU's reason, such as `guest-shutdown`.
        reason: String,
    },
    /// The machine was reset.
    Reset,
    /// Nobody in the guest has a virtio-serial port open any more.
    PortClosed {
        /// The port's device id.
        id: String,
    },
    /// The machine was paused.
    Stop,
    /// The machine runs on.
    Resume,
    /// A device is gone, or the guest has refused to let go of it.
    Unplugged {
        /// Where it is in QEMU's tree of objects.
        path: String,
        /// Whether it is gone.
        gone: bool,
    },
    /// A state that is saved or loaded has come to this status, such as `completed` or `failed`.
    Migration(String),
    /// A disk could not be read or written.
    BlockIoError {
        /// Whether the host has no space left.
        no_space: bool,
        /// What is done about it: `stop`, `report` or `ignore`.
        action: String,
        /// The error in words.
        reason: String,
    },
}

struct Command {
    name: &'static str,
    arguments: Value,
    reply: oneshot::Sender<Result<Value, QmpError>>,
}

/// A handle for commands; clones share the connection.
#[derive(Clone, Debug)]
pub struct Qmp {
    commands: mpsc::Sender<Command>,
}

impl Qmp {
    /// Starts the task that owns the socket. Events come out of the receiver, which ends when QEMU closes the monitor.
    /// Must be called within a Tokio runtime.
    pub fn start(socket: UnixStream) -> (Qmp, mpsc::UnboundedReceiver<QmpEvent>) {
        let (commands, receiver) = mpsc::channel(16);
        let (events, event_receiver) = mpsc::unbounded_channel();
        tokio::spawn(connection(socket, receiver, events));
        (Qmp { commands }, event_receiver)
    }

    /// Runs a command and returns what QEMU returned. May be dropped at any time.
    pub async fn execute(&self, name: &'static str, arguments: Value) -> Result<Value, QmpError> {
        let (reply, answer) = oneshot::channel();
        let command = Command {
            name,
            arguments,
            reply,
        };
        self.commands
            .send(command)
            .await
            .map_err(|_| QmpError::Closed)?;
        answer.await.map_err(|_| QmpError::Closed)?
    }

    /// The host's port that is forwarded to the guest's SSH port.
    pub async fn ssh_port(&self) -> Result<u16, QmpError> {
        const COMMAND: &str = "human-monitor-command";
        let answer = self
            .execute(COMMAND, json!({ "command-line": "info usernet" }))
            .await?;
        let text = answer.as_str().unwrap_or_default();
        forwarded_port(text).ok_or_else(|| QmpError::Refused {
            command: "info usernet".to_owned(),
            message: format!("no forwarded port in its answer: {}", text.trim()),
        })
    }
}

/// Finds the forward in `info usernet`: a row such as `TCP[HOST_FORWARD]  13  127.0.0.1 45043  10.0.2.15  22  0  0`.
fn forwarded_port(text: &str) -> Option<u16> {
    text.lines().find_map(|line| {
        let mut words = line.split_whitespace();
        (words.next()? == "TCP[HOST_FORWARD]")
            .then(|| words.nth(2))
            .flatten()?
            .parse()
            .ok()
    })
}

async fn connection(
    socket: UnixStream,
    mut commands: mpsc::Receiver<Command>,
    events: mpsc::UnboundedSender<QmpEvent>,
) {
    let (read, mut write) = socket.into_split();
    let mut lines = BufReader::new(read).lines();
    // The greeting is QEMU's first line; nothing is understood before the capabilities are settled.
    let (reply, _) = oneshot::channel();
    let mut queue = VecDeque::from([Command {
        name: "qmp_capabilities",
        arguments: json!({}),
        reply,
    }]);
    let mut greeted = false;
    let mut in_flight: Option<Command> = None;
    loop {
        if greeted
            && in_flight.is_none()
            && let Some(command) = queue.pop_front()
        {
            if send(&mut write, &command).await.is_err() {
                return;
            }
            in_flight = Some(command);
        }
        tokio::select! {
            message = next(&mut lines) => {
                let Some(message) = message else { return };
                if message.get("QMP").is_some() {
                    greeted = true;
                } else if let Some(event) = message.get("event") {
                    if let Some(event) = parse_event(event, &message["data"]) {
                        // Nobody listens any more: commands are still served.
                        let _ = events.send(event);
                    }
                } else if let Some(command) = in_flight.take() {
                    let result = result(command.name, message);
                    let _ = command.reply.send(result);
                }
            }
            command = commands.recv(), if queue.is_empty() => match command {
                Some(command) => queue.push_back(command),
                // Every handle is gone: events still matter until QEMU is gone, too.
                None => break,
            },
        }
    }
    while let Some(message) = next(&mut lines).await {
        if let Some(event) = message.get("event")
            && let Some(event) = parse_event(event, &message["data"])
        {
            let _ = events.send(event);
        }
    }
}

/// The next message; garbage is skipped.
async fn next(lines: &mut Lines<BufReader<OwnedReadHalf>>) -> Option<Value> {
    loop {
        let line = lines.next_line().await.ok()??;
        if let Ok(message) = serde_json::from_str(&line) {
            return Some(message);
        }
        tracing::debug!(line, "the monitor sent something that is not JSON");
    }
}

async fn send(write: &mut OwnedWriteHalf, command: &Command) -> std::io::Result<()> {
    let mut line = json!({ "execute": command.name, "arguments": command.arguments }).to_string();
    line.push('\n');
    write.write_all(line.as_bytes()).await
}

fn result(command: &str, mut message: Value) -> Result<Value, QmpError> {
    match message.get("error") {
        Some(error) => Err(QmpError::Refused {
            command: command.to_owned(),
            message: error["desc"]
                .as_str()
                .unwrap_or("no description")
                .to_owned(),
        }),
        None => Ok(message["return"].take()),
    }
}

fn parse_event(name: &Value, data: &Value) -> Option<QmpEvent> {
    let text = |key: &str| data[key].as_str().unwrap_or_default().to_owned();
    let flag = |key: &str| data[key].as_bool().unwrap_or_default();
    match name.as_str()? {
        "SHUTDOWN" => Some(QmpEvent::Shutdown {
            guest: flag("guest"),
            reason: text("reason"),
        }),
        "RESET" => Some(QmpEvent::Reset),
        "VSERPORT_CHANGE" if !flag("open") => Some(QmpEvent::PortClosed { id: text("id") }),
        "DEVICE_DELETED" | "DEVICE_UNPLUG_GUEST_ERROR" => Some(QmpEvent::Unplugged {
            path: text("path"),
            gone: name == "DEVICE_DELETED",
        }),
        "STOP" => Some(QmpEvent::Stop),
        "RESUME" => Some(QmpEvent::Resume),
        "MIGRATION" => Some(QmpEvent::Migration(text("status"))),
        "BLOCK_IO_ERROR" => Some(QmpEvent::BlockIoError {
            no_space: flag("nospace"),
            action: text("action"),
            reason: text("reason"),
        }),
        _ => None,
    }
}

#[cfg(test)]
#[path = "qmp_tests.rs"]
mod tests;
