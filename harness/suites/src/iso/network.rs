//! A keyfile of NetworkManager in the live ISO, which the installer takes along to what it installs.

use std::collections::BTreeMap;

use kolea_machine::{TestContext, TestFailure, TestResult};

use super::expect;

/// What the connection is called, and the file (kola's).
const ID: &str = "CoreOS DHCP";
const NAME: &str = "coreos-dhcp.nmconnection";

/// The keyfile. It fits any network card.
pub fn keyfiles() -> BTreeMap<String, String> {
    let text = format!("[connection]\nid={ID}\ntype=ethernet\n\n[ipv4]\nmethod=auto\n");
    BTreeMap::from([(NAME.to_owned(), text)])
}

/// Skips the test where nothing reads keyfiles.
pub async fn has_networkmanager(context: &TestContext) -> TestResult {
    // Not in every user's path.
    let found = context
        .ssh("sudo sh -c 'command -v NetworkManager'")
        .await?;
    match found.status {
        0 => Ok(()),
        _ => Err(TestFailure::Skipped(
            "the live system has no NetworkManager, which keyfiles are for".to_owned(),
        )),
    }
}

/// The system has the keyfile, and is on the network by it. `system`: what is meant, for people.
pub async fn is_used(context: &TestContext, system: &str) -> TestResult {
    let path = format!("/etc/NetworkManager/system-connections/{NAME}");
    let text = context.ssh(&format!("sudo cat {path}")).await?;
    let id = format!("id={ID}");
    let has_id = String::from_utf8_lossy(&text.stdout)
        .lines()
        .any(|line| line.trim() == id);
    expect(
        has_id,
        format!("{system} has no keyfile {path} with the connection `{ID}`"),
    )?;
    // As soon as NetworkManager is through with what it starts by itself, whether that is on the network or not.
    context.ssh("nm-online -s -q -t 120").await?;
    let journal = "sudo journalctl --sync && sudo journalctl -b -u NetworkManager -o cat --no-pager --grep 'Activation: '";
    let said = context.ssh(journal).await?;
    expect(
        is_activated(&String::from_utf8_lossy(&said.stdout)),
        format!(
            "{system} is not on the network by the connection `{ID}`: its NetworkManager has not said so in the journal"
        ),
    )
}

/// Whether NetworkManager has said that it has a device on the network by the connection. kola wants it to be the default for routing,
/// which the network of a machine without the Internet offers by IPv6 only, and later.
fn is_activated(journal: &str) -> bool {
    let starting = format!(": Activation: starting connection '{ID}'");
    let mut devices = journal.lines().filter_map(|line| {
        let (device, _) = line.split_once(&starting)?;
        device.rsplit_once("device ").map(|(_, device)| device)
    });
    devices.any(|device| journal.contains(&format!("device {device}: Activation: successful")))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_of_the_connection_is_to_be_activated() {
        let starting = |device, id| {
            format!(
                "<info>  [1.2] device ({device}): Activation: starting connection '{id}' (47e2)\n"
            )
        };
        let successful = "<info>  [1.3] device (ens6): Activation: successful, device activated.\n";
        assert!(is_activated(&(starting("ens6", ID) + successful)));
        assert!(!is_activated(&starting("ens6", ID)));
        assert!(!is_activated(&(starting("ens6", "ens6") + successful)));
        assert!(!is_activated(&(starting("ens7", ID) + successful)));
        assert!(!is_activated(""));
    }
}
