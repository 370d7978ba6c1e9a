//! SSH to the guest: one connection a machine, a channel a command, and every wait can be dropped.
//!
//! Host keys are not checked: a guest makes its own at its first boot, and the connection goes through a port of this
//! host's loopback interface.

mod config;
mod key;
mod ready;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

pub use key::SshKey;
pub use ready::{LastError, connect_until_ready, connect_until_ready_noting};
pub use session::SshSession;

/// Where a guest's sshd is reached, and as whom.
#[derive(Clone, Debug)]
pub struct SshTarget {
    /// The host's end of the forwarded port.
    pub address: SocketAddr,
    /// The guest's user.
    pub user: String,
    /// The user's key.
    pub key: Arc<SshKey>,
    /// After how long a silence the peer is asked for a sign of life; three unanswered questions end the connection.
    pub keepalive: Duration,
}
