//! The key that a run's machines let in.

use std::fmt;
use std::sync::Arc;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey};

use crate::MachineError;

/// An Ed25519 key pair that lives in memory only.
#[derive(Clone)]
pub struct SshKey {
    private: Arc<PrivateKey>,
    public_line: String,
    private_openssh: String,
}

impl fmt::Debug for SshKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SshKey").field(&self.public_line).finish()
    }
}

impl SshKey {
    /// Makes a new key. Ed25519 is the cheapest for a guest without hardware help.
    pub fn generate() -> Result<SshKey, MachineError> {
        let fault = |error: russh::keys::ssh_key::Error| {
            MachineError::Harness(format!("cannot make an SSH key: {error}"))
        };
        let mut private = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519).map_err(fault)?;
        private.set_comment("kolea");
        Ok(SshKey {
            public_line: private.public_key().to_openssh().map_err(fault)?,
            private_openssh: private
                .to_openssh(LineEnding::LF)
                .map_err(fault)?
                .to_string(),
            private: Arc::new(private),
        })
    }

    /// The line for `authorized_keys`: `ssh-ed25519 AAAA… kolea`.
    pub fn public_line(&self) -> &str {
        &self.public_line
    }

    /// The private key in OpenSSH's format, for a file that `ssh -i` reads.
    pub fn private_openssh(&self) -> String {
        self.private_openssh.clone()
    }

    pub(super) fn private(&self) -> Arc<PrivateKey> {
        Arc::clone(&self.private)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_has_both_forms_and_keeps_its_secret_in_debug_output() {
        let key = SshKey::generate().unwrap();
        assert!(key.public_line().starts_with("ssh-ed25519 AAAA"));
        assert!(key.public_line().ends_with(" kolea"));
        let private = key.private_openssh();
        assert!(private.starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
        assert!(!format!("{key:?}").contains("PRIVATE"));
        let read = PrivateKey::from_openssh(private).unwrap();
        assert_eq!(read.public_key().to_openssh().unwrap(), key.public_line());
    }
}
