//! What a template is of. Templates with equal keys are interchangeable.

use std::path::Path;

use kolea_machine::{TemplateOrder, agent};
use kolea_model::{Firmware, MachineSpec};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::cache::hex;
use crate::command_line::{Accelerator, accelerator_args};
use crate::launch::Common;
use crate::provision;
use crate::tools;

/// Everything that a template's machine depends on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TemplateKey {
    /// The image's path: the frozen disk refers to it.
    pub image: String,
    /// Its SHA-256.
    pub image_sha256: String,
    /// QEMU's version, as it says it.
    pub qemu: String,
    /// The versioned machine type.
    pub machine_type: String,
    /// Accelerator and CPU model, as options of QEMU.
    pub accelerator: String,
    /// The host's CPU and kernel, where the guest sees them (KVM).
    pub host: String,
    /// The firmware's files, if it has any.
    pub firmware: String,
    /// What emulates the TPM, if there is one.
    #[serde(default)]
    pub tpm: String,
    /// The live ISO, where the machine boots from one.
    #[serde(default)]
    pub iso: String,
    /// Size of the primary disk, in bytes.
    #[serde(default)]
    pub disk: u64,
    /// The name of the virtio port for what the initramfs says.
    #[serde(default)]
    pub ignition_port: String,
    /// The machine.
    pub spec: MachineSpec,
    /// What the harness and the tests want of it, as the Ignition config that says so, but for our key.
    pub ignition: String,
    /// How the machine is told, and what; only in part if by Ignition.
    #[serde(default)]
    pub provisioning: String,
    /// kolea's version.
    pub kolea: String,
    /// What kolea brings into the guest before it is frozen.
    pub agent: String,
}

impl TemplateKey {
    /// The key for an order.
    pub fn new(common: &Common, order: &TemplateOrder) -> TemplateKey {
        let args: Vec<String> = accelerator_args(common.arch, common.accelerator)
            .iter()
            .map(|arg| arg.to_string_lossy().into_owned())
            .collect();
        let (ignition, provisioning) = provision::fingerprint(common, &order.provision);
        TemplateKey {
            image: common.image.path.display().to_string(),
            image_sha256: common.image_sha256.clone(),
            qemu: common.qemu_version.clone(),
            machine_type: common
                .firmwares
                .machine_type(order.spec.firmware)
                .to_owned(),
            accelerator: args.join(" "),
            host: match common.accelerator {
                Accelerator::Kvm => host(),
                Accelerator::Tcg => String::new(),
            },
            firmware: firmware(common, order.spec.firmware),
            iso: match &common.iso {
                Some(iso) if order.spec.boot_from.is_some() => {
                    tools::fingerprint(&iso.path).unwrap_or_default()
                }
                _ => String::new(),
            },
            tpm: match &common.swtpm {
                Some(swtpm) if order.spec.tpm => swtpm.fingerprint(),
                _ => String::new(),
            },
            disk: common.disk_size(&order.spec),
            ignition_port: common.profile.ignition_journal_port.clone(),
            spec: order.spec.clone(),
            ignition,
            provisioning,
            kolea: env!("CARGO_PKG_VERSION").to_owned(),
            agent: agent::fingerprint(),
        }
    }

    /// A short name: the beginning of its hash. Fields are hashed in the order of their declaration.
    pub fn name(&self) -> String {
        let text = serde_json::to_vec(self).unwrap_or_default(); // strings and numbers can't fail
        let mut digest = hex(&Sha256::digest(text));
        digest.truncate(16);
        digest
    }

    /// Whether only QEMU's version is another: such a template can't be loaded any more.
    pub fn is_outdated(&self, current: &TemplateKey) -> bool {
        self.qemu != current.qemu
            && TemplateKey {
                qemu: current.qemu.clone(),
                machine_type: current.machine_type.clone(),
                ..self.clone()
            } == *current
    }
}

/// What identifies a firmware's files.
fn firmware(common: &Common, firmware: Firmware) -> String {
    let found = common.firmwares.files(firmware).ok().flatten();
    let files = found
        .iter()
        .flat_map(|uefi| uefi.code.iter().chain([&uefi.vars]));
    let fingerprints: Vec<String> = files
        .filter_map(|flash| tools::fingerprint(&flash.path).ok())
        .collect();
    fingerprints.join(" ")
}

/// The CPU's first description in `/proc/cpuinfo`, and the kernel's release.
fn host() -> String {
    let read = |path: &str| std::fs::read_to_string(Path::new(path)).unwrap_or_default();
    let cpu = read("/proc/cpuinfo");
    // What changes from moment to moment, or from CPU to CPU, is left out.
    let lasting = |line: &&str| {
        ![
            "cpu MHz",
            "bogomips",
            "processor",
            "apicid",
            "initial apicid",
            "core id",
            "physical id",
        ]
        .iter()
        .any(|name| line.starts_with(name))
    };
    let lines: Vec<&str> = cpu
        .lines()
        .take_while(|line| !line.is_empty())
        .filter(lasting)
        .collect();
    let digest = hex(&Sha256::digest(lines.join("\n")));
    let release = read("/proc/sys/kernel/osrelease");
    format!("{} {}", &digest[..16], release.trim())
}

#[cfg(test)]
pub mod testing {
    use super::*;

    /// Some key.
    pub fn key(image_sha256: &str) -> TemplateKey {
        TemplateKey {
            image: "/i".to_owned(),
            image_sha256: image_sha256.to_owned(),
            qemu: "10.0.2".to_owned(),
            machine_type: "pc-i440fx-10.0".to_owned(),
            accelerator: "tcg".to_owned(),
            host: String::new(),
            firmware: String::new(),
            tpm: String::new(),
            iso: String::new(),
            disk: 4 << 30,
            ignition_port: "port".to_owned(),
            spec: MachineSpec {
                memory_mib: 1024,
                cpus: 1,
                hostname: "qemu0".to_owned(),
                ..MachineSpec::default()
            },
            ignition: "{}".to_owned(),
            provisioning: "ignition".to_owned(),
            kolea: "0".to_owned(),
            agent: "0".to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::testing::key;
    use super::*;

    #[test]
    fn whatever_differs_gives_another_name() {
        let a = key("a");
        assert_eq!(a.name(), key("a").name());
        assert_eq!(a.name().len(), 16);
        assert_ne!(a.name(), key("b").name());
        let mut other = a.clone();
        other.spec.memory_mib = 2048;
        assert_ne!(a.name(), other.name());
        let mut larger = a.clone();
        larger.disk += 1;
        assert_ne!(a.name(), larger.name());
        let upgraded = TemplateKey {
            qemu: "10.1.0".to_owned(),
            machine_type: "pc-i440fx-10.1".to_owned(),
            ..a.clone()
        };
        assert!(a.is_outdated(&upgraded));
        assert!(!a.is_outdated(&a));
        assert!(!other.is_outdated(&upgraded));
    }

    #[test]
    fn the_host_is_the_same_as_before() {
        assert_eq!(host(), host());
    }
}
