//! What the guest's output tells about its SSH server.

use std::time::Duration;

use kolea_machine::BootId;
use tokio::sync::{Notify, watch};
use tokio::time::{Instant, sleep_until};

/// A guest that has said nothing for this long is tried, whatever it has not said.
const SILENCE: Duration = Duration::from_secs(10);
/// So is one that has talked for this long of anything but its SSH server.
const CHATTER: Duration = Duration::from_secs(60);

/// Signs of an SSH server in the guest.
#[derive(Debug)]
pub struct Signs {
    /// Notified whenever one has started.
    pub kick: Notify,
    /// The last boot, by its id without dashes, in which one has started; empty at first.
    boot: watch::Sender<String>,
    /// When the guest said anything.
    heard: watch::Sender<Instant>,
    /// The server's service and socket, by the distribution's name for it.
    units: [String; 2],
}

impl Signs {
    /// Of a guest whose SSH server is that unit, without `.service` (`Profile::sshd_unit`).
    pub fn new(sshd_unit: &str) -> Signs {
        Signs {
            kick: Notify::new(),
            boot: watch::Sender::default(),
            heard: watch::Sender::new(Instant::now()),
            units: ["service", "socket"].map(|kind| format!("{sshd_unit}.{kind}")),
        }
    }

    /// Of a guest whose SSH server has started before, in that boot.
    pub fn of_running(sshd_unit: &str, boot: &BootId) -> Signs {
        let signs = Signs::new(sshd_unit);
        signs.boot.send_replace(boot.0.replace('-', ""));
        signs
    }

    /// Takes in a message: of the console, or of the journal, which knows the boot.
    pub fn note(&self, message: &str, boot: Option<&str>) {
        self.heard.send_replace(Instant::now());
        if self.is_ssh_server(message) {
            if let Some(boot) = boot {
                self.boot.send_replace(boot.to_owned());
            }
            self.kick.notify_one();
        }
    }

    /// Changes whenever the guest has said something.
    pub fn heard(&self) -> watch::Receiver<Instant> {
        self.heard.subscribe()
    }

    /// Waits until an SSH server has started in a boot other than `previous`; false if the guest falls silent instead, or
    /// says everything but that.
    pub async fn sshd(&self, previous: Option<&BootId>) -> bool {
        let previous = previous.map(|boot| boot.0.replace('-', ""));
        let mut boot = self.boot.subscribe();
        let started = |boot: &String| !boot.is_empty() && Some(boot) != previous.as_ref();
        let chatter = Instant::now() + CHATTER;
        loop {
            let heard = *self.heard.borrow();
            tokio::select! {
                biased;
                _ = boot.wait_for(started) => return true,
                () = sleep_until(chatter) => return false,
                () = sleep_until(heard + SILENCE) => {
                    if *self.heard.borrow() == heard {
                        return false;
                    }
                }
            }
        }
    }

    /// Whether a message says that an SSH server accepts connections: sshd's own, or systemd's about its service or socket.
    fn is_ssh_server(&self, message: &str) -> bool {
        // An alias may go by the unit's own name, and consoles by its description alone.
        const NAMES: [&str; 5] = [
            "ssh.service",
            "sshd.service",
            "sshd.socket",
            "OpenSSH",
            "OpenBSD Secure Shell",
        ];
        let mut names = self.units.iter().map(String::as_str).chain(NAMES);
        message.starts_with("Server listening on")
            || ((message.contains("Started ") || message.contains("Listening on "))
                && names.any(|name| message.contains(name)))
    }
}

#[cfg(test)]
mod tests {
    use tokio::time::{advance, timeout};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn the_last_boot_is_no_sign() {
        let signs = Signs::new("sshd");
        let before = BootId("a-b".to_owned());
        signs.note("Server listening on :: port 22.", Some("ab"));
        assert!(signs.sshd(None).await);
        let wait = signs.sshd(Some(&before));
        assert!(timeout(SILENCE / 2, wait).await.is_err());
        signs.note(
            "Started ssh.service - OpenBSD Secure Shell server.",
            Some("cd"),
        );
        assert!(signs.sshd(Some(&before)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn the_boot_of_a_template_goes_on_in_its_clones() {
        let boot = BootId("a-b".to_owned());
        let signs = Signs::of_running("sshd", &boot);
        assert!(signs.sshd(None).await);
        assert!(!signs.sshd(Some(&boot)).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_silent_guest_is_tried_and_a_talking_one_listened_to() {
        let signs = Signs::new("sshd");
        let start = Instant::now();
        let talk = async {
            for _ in 0..4 {
                tokio::time::sleep(SILENCE / 2).await;
                signs.note("Started Network Manager.", Some("ab"));
            }
        };
        let (silent, ()) = tokio::join!(signs.sshd(None), talk);
        assert!(!silent);
        assert_eq!(start.elapsed(), SILENCE * 3);
        advance(SILENCE).await;
        assert!(!signs.sshd(None).await);
    }

    #[tokio::test(start_paused = true)]
    async fn a_guest_that_never_stops_talking_is_tried_as_well() {
        let signs = Signs::new("sshd");
        let start = Instant::now();
        let talk = async {
            loop {
                tokio::time::sleep(SILENCE / 2).await;
                signs.note("still here", Some("ab"));
            }
        };
        let silent = tokio::select! {
            started = signs.sshd(None) => started,
            () = talk => true,
        };
        assert!(!silent);
        assert_eq!(start.elapsed(), CHATTER);
    }

    #[test]
    fn servers_are_recognised() {
        let is_ssh_server = |message: &str| Signs::new("dropbear").is_ssh_server(message);
        for message in [
            "Started dropbear.service - SSH for small machines.",
            "Listening on dropbear.socket.",
            "Server listening on 0.0.0.0 port 22.",
            "[  OK  ] Started sshd.service - OpenSSH server daemon.",
            "Listening on sshd.socket - OpenSSH Server Socket.",
        ] {
            assert!(is_ssh_server(message), "{message}");
        }
        for message in [
            "Starting ssh.service - OpenBSD Secure Shell server...",
            "Started Network Manager.",
            "Stopped OpenSSH server daemon.",
        ] {
            assert!(!is_ssh_server(message), "{message}");
        }
    }
}
