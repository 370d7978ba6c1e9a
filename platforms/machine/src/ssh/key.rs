//! The key that a run's machines let in.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use russh::keys::key::safe_rng;
use russh::keys::ssh_key::LineEnding;
use russh::keys::{Algorithm, PrivateKey, load_secret_key};

use crate::MachineError;

const ENCRYPTED: &str =
    "it is encrypted, and nobody is asked for passphrases here; name a key without one";

/// A key pair: made for the run, and then in memory only, or a user's.
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
        let make = || {
            let mut private = PrivateKey::random(&mut safe_rng(), Algorithm::Ed25519)?;
            private.set_comment("kolea");
            SshKey::of(private)
        };
        make().map_err(|error| MachineError::Harness(format!("cannot make an SSH key: {error}")))
    }

    /// Reads a private key of a user's, in any of the usual formats.
    ///
    /// # Errors
    /// One line for people, without the path: the file can't be read, is no private key, is encrypted, or of a kind that is not
    /// supported.
    pub fn load(path: &Path) -> Result<SshKey, String> {
        use russh::keys::Error;
        let private = load_secret_key(path, None).map_err(|error| match error {
            Error::IO(error) => format!("it cannot be read: {error}"),
            Error::KeyIsEncrypted => ENCRYPTED.to_owned(),
            error => format!("it is no private key that can be read: {error}"),
        })?;
        if private.is_encrypted() {
            return Err(ENCRYPTED.to_owned());
        }
        match private.algorithm() {
            Algorithm::Ed25519 | Algorithm::Ecdsa { .. } => {}
            other => {
                return Err(format!(
                    "keys of the kind {other} are not supported; Ed25519 and ECDSA are"
                ));
            }
        }
        SshKey::of(private).map_err(|error| error.to_string())
    }

    fn of(private: PrivateKey) -> Result<SshKey, russh::keys::ssh_key::Error> {
        Ok(SshKey {
            public_line: private.public_key().to_openssh()?,
            private_openssh: private.to_openssh(LineEnding::LF)?.to_string(),
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

    #[test]
    fn a_users_key_is_read_or_it_is_said_why_not() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id");
        let made = SshKey::generate().unwrap();
        std::fs::write(&path, made.private_openssh()).unwrap();
        let read = SshKey::load(&path).unwrap();
        assert_eq!(read.public_line(), made.public_line());

        let fault = |text: &str| {
            std::fs::write(&path, text).unwrap();
            SshKey::load(&path).unwrap_err()
        };
        let locked = PrivateKey::from_openssh(made.private_openssh())
            .unwrap()
            .encrypt(&mut safe_rng(), "secret")
            .unwrap();
        let locked = locked.to_openssh(LineEnding::LF).unwrap();
        assert_eq!(fault(&locked), ENCRYPTED);
        assert!(fault(made.public_line()).starts_with("it is no private key"));
        std::fs::remove_file(&path).unwrap();
        assert!(
            SshKey::load(&path)
                .unwrap_err()
                .starts_with("it cannot be read: ")
        );
    }
}
