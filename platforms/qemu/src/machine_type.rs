//! Which version of a machine type do names such as `pc`, `q35` and `virt` stand for? A state can only be loaded into the
//! version that it was saved from, so machines are made of versioned types.

use std::path::Path;

use kolea_model::Firmware;

use crate::arch::Arch;
use crate::cache::Cache;
use crate::{QemuError, tools};

/// The versioned name of the type that machines have: kola's choice, which depends on architecture and firmware. A QEMU
/// that has no version of it is given the name itself.
pub async fn resolve(
    qemu: &Path,
    arch: Arch,
    firmware: Firmware,
    cache: &Cache,
) -> Result<String, QemuError> {
    let alias = arch.machine_type(firmware);
    let key = format!("{}|{alias}", tools::fingerprint(qemu).unwrap_or_default());
    if let Some(name) = cache.get("machine-type", &key) {
        return Ok(name);
    }
    let output = tools::output(qemu, ["-machine", "help"]).await?;
    if !output.status.success() {
        return Err(tools::failed(qemu, tools::last_words(&output.stderr)));
    }
    let name = versioned(&String::from_utf8_lossy(&output.stdout), alias)
        .unwrap_or(alias)
        .to_owned();
    cache.put("machine-type", &key, &name);
    Ok(name)
}

/// Finds the type in a list with lines such as `pc    Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)`.
fn versioned<'a>(help: &'a str, alias: &str) -> Option<&'a str> {
    help.lines()
        .find(|line| line.split_whitespace().next() == Some(alias))?
        .rsplit_once("(alias of ")?
        .1
        .strip_suffix(')')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aliases_are_resolved() {
        let help = "Supported machines are:\n\
            pc                   Standard PC (i440FX + PIIX, 1996) (alias of pc-i440fx-10.0)\n\
            pc-i440fx-10.0       Standard PC (i440FX + PIIX, 1996) (default)\n\
            q35                  Standard PC (Q35 + ICH9, 2009) (alias of pc-q35-rhel9.4.0)\n\
            s390-ccw-virtio      Virtual s390x machine (version 10.0) (alias of s390-ccw-virtio-10.0)\n\
            none                 empty machine\n";
        assert_eq!(versioned(help, "pc"), Some("pc-i440fx-10.0"));
        assert_eq!(versioned(help, "q35"), Some("pc-q35-rhel9.4.0"));
        assert_eq!(
            versioned(help, "s390-ccw-virtio"),
            Some("s390-ccw-virtio-10.0")
        );
        assert_eq!(versioned(help, "none"), None);
        assert_eq!(versioned(help, "virt"), None);
    }
}
