//! Provisioning by systemd's credentials (systemd.system-credentials(7)): systemd-sysusers makes the user, and
//! systemd-tmpfiles the files that let us in.
//!
//! Units could come in the same way since systemd 256 only (`systemd.extra-unit.*`), so they do not.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{SUDOERS, sudo_rule};
use crate::profile::home_of;

/// A system credential.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credential {
    /// Its name.
    pub name: &'static str,
    /// What it says.
    pub contents: String,
}

/// What lets our key in as that user, who is made if need be, and who has sudo without a password. Files are written at each
/// boot, users' own keys among them.
pub fn credentials(user: &str, public_key: &str) -> Vec<Credential> {
    let home = home_of(user);
    let mut files = String::new();
    let mut credentials = Vec::new();
    if user != "root" {
        credentials.push(Credential {
            name: "sysusers.extra",
            contents: format!("u {user} - \"kolea\" {home} /bin/sh\n"),
        });
        // A colon leaves what is there already as it is.
        files = format!(
            "d {home} :0700 :{user} - - -\n\
             f+~ {SUDOERS} 0440 - - - {}\n",
            STANDARD.encode(sudo_rule(user))
        );
    }
    files.push_str(&format!(
        "d {home}/.ssh 0700 {user} - - -\n\
         f+~ {home}/.ssh/authorized_keys 0600 {user} - - {}\n",
        STANDARD.encode(format!("{public_key}\n"))
    ));
    credentials.push(Credential {
        name: "tmpfiles.extra",
        contents: files,
    });
    credentials
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_gets_a_key_and_others_are_made() {
        let root = credentials("root", "ssh-ed25519 AAAA kolea");
        assert_eq!(root.len(), 1);
        assert_eq!(root[0].name, "tmpfiles.extra");
        assert_eq!(
            root[0].contents,
            "d /root/.ssh 0700 root - - -\n\
             f+~ /root/.ssh/authorized_keys 0600 root - - c3NoLWVkMjU1MTkgQUFBQSBrb2xlYQo=\n"
        );
        let core = credentials("core", "ssh-ed25519 AAAA kolea");
        assert_eq!(core[0].name, "sysusers.extra");
        assert_eq!(core[0].contents, "u core - \"kolea\" /home/core /bin/sh\n");
        let lines: Vec<&str> = core[1].contents.lines().collect();
        assert_eq!(lines[0], "d /home/core :0700 :core - - -");
        assert!(lines[1].starts_with("f+~ /etc/sudoers.d/90-kolea 0440 - - - "));
        assert_eq!(lines[2], "d /home/core/.ssh 0700 core - - -");
        assert!(lines[3].starts_with("f+~ /home/core/.ssh/authorized_keys 0600 core - - "));
        assert_eq!(lines.len(), 4);
    }
}
