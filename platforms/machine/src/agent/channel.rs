//! The host's end of the virtio-serial port on which `kolet serve` answers.
//!
//! One command at a time. The host sends a line `run NONCE LINES BYTES`, the script's lines, and the bytes of its standard
//! input. The agent lets the command write to the port, and then says, each on a line of its own, the nonce with the exit
//! status, what the command wrote to standard error, and the nonce. Nobody else knows the nonce, so that no output can be
//! taken for the end; and no process in the guest has to copy the output or count its bytes.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::sync::watch;

use super::reboot::REBOOT_ACK;
use crate::{Exec, ExecOutput, MachineError};

/// What an answer may take: both streams at their limit, and what stands between them.
const ANSWER_LIMIT: usize = 2 * ExecOutput::LIMIT + 1024;
/// What the agent's first line begins with.
const HELLO: &[u8] = b"kolet ";
/// How long the agent's first line may be.
const HELLO_LIMIT: usize = 256;

/// A connection with the agent of a machine.
///
/// It is usable until something goes wrong: an answer that makes no sense, a command that nobody waits for any more,
/// the acknowledgement of a reboot, [`AgentChannel::give_up`]. From then on it is closed, which ends the agent, and SSH is what remains.
#[derive(Debug)]
pub struct AgentChannel {
    /// Empty while a command runs, and after the end.
    socket: Mutex<Option<UnixStream>>,
    given_up: watch::Sender<bool>,
}

impl AgentChannel {
    /// A channel over one end of a socket pair; QEMU has the other.
    pub fn new(socket: UnixStream) -> AgentChannel {
        AgentChannel {
            socket: Mutex::new(Some(socket)),
            given_up: watch::Sender::new(false),
        }
    }

    /// Waits for the first line that the agent says. The agent of a clone says none: that of its template did.
    pub async fn hello(&self) -> Result<(), MachineError> {
        self.with_socket("hello", async |socket| {
            let mut line = Vec::new();
            while line.last() != Some(&b'\n') {
                if line.len() >= HELLO_LIMIT {
                    return Err("it says something else than its name".to_owned());
                }
                line.push(socket.read_u8().await.map_err(|error| lost(&error))?);
            }
            if line.starts_with(HELLO) {
                Ok(())
            } else {
                let line = String::from_utf8_lossy(&line);
                Err(format!("it says `{}` instead of its name", line.trim()))
            }
        })
        .await
    }

    /// Runs a command of root's and waits for its end. Dropping the future makes the channel unusable, and so does every error.
    pub async fn exec(&self, exec: &Exec) -> Result<ExecOutput, MachineError> {
        self.with_socket(exec.label, async |socket| {
            let nonce = format!("{:032x}", rand::random::<u128>());
            let request = request(exec, &nonce);
            let (mut reader, mut writer) = socket.split();
            // Output that nobody reads must not keep the command from reading its input.
            let send = async {
                let sent = match writer.write_all(&request).await {
                    Ok(()) => writer.write_all(&exec.stdin).await,
                    error => error,
                };
                sent.map_err(|error| lost(&error))
            };
            let ((), output) = tokio::try_join!(send, receive(&mut reader, &nonce))?;
            Ok(output)
        })
        .await
    }

    /// Whether a command could be run now.
    pub fn is_idle(&self) -> bool {
        self.lock().is_some()
    }

    /// Makes the channel unusable, as it is after a reboot; a command that is running fails.
    pub fn give_up(&self) {
        self.given_up.send_replace(true);
        self.lock().take();
    }

    async fn with_socket<T>(
        &self,
        label: &str,
        work: impl AsyncFnOnce(&mut UnixStream) -> Result<T, String>,
    ) -> Result<T, MachineError> {
        let fault = |what: &str| {
            MachineError::Ssh(format!("the agent's channel: running `{label}`: {what}"))
        };
        let mut given_up = self.given_up.subscribe();
        let mut socket = self
            .lock()
            .take()
            .ok_or_else(|| fault("it is in use or closed"))?;
        let result = tokio::select! {
            result = work(&mut socket) => result.map_err(|error| fault(&error))?,
            _ = given_up.wait_for(|given_up| *given_up) => {
                return Err(fault("it was closed, since the agent is gone"));
            }
        };
        let mut slot = self.lock();
        // The agent goes down with its machine, whatever becomes of the answer to that.
        if !*self.given_up.borrow() && label != REBOOT_ACK {
            *slot = Some(socket);
        }
        Ok(result)
    }

    fn lock(&self) -> MutexGuard<'_, Option<UnixStream>> {
        self.socket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// All of a request but its standard input.
fn request(exec: &Exec, nonce: &str) -> Vec<u8> {
    let script = exec.command.trim_end_matches('\n');
    let lines = script.split('\n').count();
    format!("run {nonce} {lines} {}\n{script}\n", exec.stdin.len()).into_bytes()
}

async fn receive(
    reader: &mut (impl AsyncReadExt + Unpin),
    nonce: &str,
) -> Result<ExecOutput, String> {
    let mut answer = Vec::new();
    let mut chunk = vec![0; 64 << 10];
    loop {
        let count = reader
            .read(&mut chunk)
            .await
            .map_err(|error| lost(&error))?;
        if count == 0 {
            return Err("QEMU closed it".to_owned());
        }
        answer.extend_from_slice(&chunk[..count]);
        // The last line is the nonce.
        if ends_with_line(&answer, nonce.as_bytes()) {
            return parse(&answer, nonce);
        }
        if answer.len() > ANSWER_LIMIT {
            return Err(format!("more than {ANSWER_LIMIT} bytes of output"));
        }
    }
}

fn lost(error: &std::io::Error) -> String {
    format!("it broke: {error}")
}

fn ends_with_line(text: &[u8], line: &[u8]) -> bool {
    text.strip_suffix(b"\n")
        .and_then(|text| text.strip_suffix(line))
        .is_some_and(|text| text.ends_with(b"\n"))
}

/// Takes a complete answer apart: standard output, a line with the nonce and the status, standard error, a line with the nonce.
fn parse(answer: &[u8], nonce: &str) -> Result<ExecOutput, String> {
    let garbled = || "the answer makes no sense".to_owned();
    let mark = format!("\n{nonce} ").into_bytes();
    let at = answer
        .windows(mark.len())
        .position(|window| window == mark)
        .ok_or_else(garbled)?;
    let rest = &answer[at + mark.len()..];
    let end = rest
        .iter()
        .position(|byte| *byte == b'\n')
        .ok_or_else(garbled)?;
    let status = str::from_utf8(&rest[..end])
        .ok()
        .and_then(|status| status.parse().ok())
        .ok_or_else(garbled)?;
    // The line's end before the last line is not the command's.
    let stderr = rest[end + 1..]
        .len()
        .checked_sub(nonce.len() + 2)
        .ok_or_else(garbled)?;
    let keep = |bytes: &[u8]| bytes[..bytes.len().min(ExecOutput::LIMIT)].to_vec();
    Ok(ExecOutput {
        status,
        stdout: keep(&answer[..at]),
        stderr: keep(&rest[end + 1..][..stderr]),
    })
}
