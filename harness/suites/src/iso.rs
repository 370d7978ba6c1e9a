//! The suite `iso`: live ISOs, and what is installed from them. Names are those of nosa's `testiso`, where it has the scenario, and as
//! there, the parts of a name say what the scenario is.

mod install;
mod live;
mod network;

use kolea_machine::{NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::{BootFrom, DiskSpec, Firmware, MachineNeeds, Sectors};

/// What all of these tests are tagged with.
pub const TAG: &str = "iso";

/// Memory of live systems that install (kola's), in MiB.
const INSTALL_MIB: u64 = 4096;
/// That of those whose root file system is unpacked with the initramfs (kola's), in MiB.
const ROOTFS_APPENDED_MIB: u64 = 5120;
/// Size of the disk that is installed to (kola's `installDisk`), in GiB.
const TARGET_GIB: u64 = 12;

macro_rules! tests {
    ($($name:literal $run:path: $description:literal;)*) => {
        /// The tests.
        pub const TESTS: &[NativeTest] = &[$(NativeTest {
            name: $name,
            description: $description,
            tags: &[TAG],
            needs: || Scenario::of($name).needs(),
            machines: 1,
            run: |context| Box::pin($run(context, Scenario::of($name))),
        }),*];
    };
}

tests! {
    "iso-as-disk.4k.uefi" live::boots: "the live ISO boots as a disk with UEFI and with a config, beside a disk with sectors of 4096 bytes";
    "iso-as-disk.bios" live::boots: "the live ISO boots as a disk, with a config";
    "iso-as-disk.uefi" live::boots: "the live ISO boots as a disk with UEFI, with a config";
    "iso-as-disk.uefi-secure" live::boots: "the live ISO boots as a disk with Secure Boot, with a config";
    "iso-install.bios" install::installs: "the live system installs from a server to a disk, and what was installed boots";
    "iso-live-boot.bios" live::boots: "the live ISO boots as a CD, with a config";
    "iso-live-login.4k.uefi" live::logs_in: "the live ISO boots with UEFI and without a config beside a disk with sectors of 4096 bytes, and its user is logged in on the console";
    "iso-live-login.bios" live::logs_in: "the live ISO boots without a config, and its user is logged in on the console";
    "iso-live-login.uefi" live::logs_in: "the live ISO boots with UEFI and without a config, and its user is logged in on the console";
    "iso-live-login.uefi-secure" live::logs_in: "the live ISO boots with Secure Boot and without a config, and its user is logged in on the console";
    "iso-offline-install-fromram.4k.uefi" install::installs: "a live system in memory installs to a disk with sectors of 4096 bytes, and what was installed boots";
    "iso-offline-install-fromram.bios" install::installs: "a live system in memory installs to a disk, and what was installed boots";
    "iso-offline-install.bios" install::installs: "the live system installs to a disk, and what was installed boots";
    "iso-offline-install.mpath.bios" install::installs: "the live system installs to a disk on two paths, and what was installed boots from multipath's map of it";
    "iso-offline-install.mpath.uefi" install::installs: "the live system installs to a disk on two paths with UEFI, and what was installed boots from multipath's map of it";
    "iso-offline-install.uefi" install::installs: "the live system installs to a disk with UEFI, and what was installed boots";
    "miniso-install.4k.nm.uefi" install::installs: "a minimal ISO with a network keyfile installs to a disk with sectors of 4096 bytes, and what was installed has the keyfile";
    "miniso-install.4k.uefi" install::installs: "a minimal ISO, which fetches its root file system, installs to a disk with sectors of 4096 bytes, and what was installed boots";
    "miniso-install.bios" install::installs: "a minimal ISO, which fetches its root file system, installs to a disk, and what was installed boots";
    "miniso-install.nm.bios" install::installs: "a minimal ISO with a network keyfile installs to a disk, and what was installed has the keyfile";
    "miniso-install.nm.uefi" install::installs: "a minimal ISO with a network keyfile installs to a disk with UEFI, and what was installed has the keyfile";
    "miniso-install.uefi" install::installs: "a minimal ISO, which fetches its root file system, installs to a disk with UEFI, and what was installed boots";
    "pxe-offline-install.4k.uefi" install::installs: "a live system from the network installs to a disk with sectors of 4096 bytes, and what was installed boots";
    "pxe-offline-install.bios" install::installs: "a live system from the network installs to a disk, and what was installed boots";
    "pxe-offline-install.rootfs-appended.bios" install::installs: "a live system from the network, all of it in its initramfs, installs to a disk, and what was installed boots";
    "pxe-online-install.bios" install::installs: "a live system from the network installs from a server to a disk, and what was installed boots";
    "pxe-online-install.4k.uefi" install::installs: "a live system from the network installs from a server to a disk with sectors of 4096 bytes, and what was installed boots";
}

/// What a scenario is, by its name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Scenario {
    firmware: Firmware,
    as_disk: bool,
    login: bool,
    install: bool,
    from_ram: bool,
    /// Of the disk that is there beside the ISO, which is what is installed to: sectors of 4096 bytes, and two paths.
    large_sectors: bool,
    multipath: bool,
    /// What is installed comes from a server.
    online: bool,
    pxe: bool,
    rootfs_appended: bool,
    minimal: bool,
    /// The ISO has a network keyfile.
    keyfile: bool,
}

impl Scenario {
    fn of(name: &str) -> Scenario {
        let has = |part: &str| name.split(['-', '.']).any(|own| own == part);
        Scenario {
            firmware: match name.rsplit('.').next() {
                Some("uefi") => Firmware::Uefi,
                Some("uefi-secure") => Firmware::UefiSecure,
                _ => Firmware::Bios,
            },
            as_disk: name.starts_with("iso-as-disk"),
            login: has("login"),
            install: has("install"),
            from_ram: has("fromram"),
            large_sectors: has("4k"),
            multipath: has("mpath"),
            // A minimal ISO installs what is in its root file system.
            online: has("install") && !has("offline") && !has("miniso"),
            minimal: has("miniso"),
            keyfile: has("nm"),
            pxe: has("pxe"),
            rootfs_appended: name.contains(".rootfs-appended."),
        }
    }

    /// Those of the disk that is installed to.
    fn sectors(self) -> Sectors {
        match self.large_sectors {
            true => Sectors::Native4k,
            false => Sectors::default(),
        }
    }

    fn boot_from(self) -> BootFrom {
        if self.rootfs_appended {
            BootFrom::PxeRootfsAppended
        } else if self.pxe {
            BootFrom::Pxe
        } else if self.minimal {
            BootFrom::MinimalIso
        } else if self.as_disk {
            BootFrom::IsoAsDisk
        } else {
            BootFrom::Iso
        }
    }

    fn needs(self) -> MachineNeeds {
        MachineNeeds {
            memory_mib: match self.rootfs_appended {
                true => Some(ROOTFS_APPENDED_MIB),
                false => self.install.then_some(INSTALL_MIB),
            },
            boot_from: Some(self.boot_from()),
            additional_disks: match self.install || self.large_sectors {
                true => vec![DiskSpec {
                    size_gib: Some(TARGET_GIB),
                    multipath: self.multipath,
                    sectors: self.sectors(),
                    ..DiskSpec::default()
                }],
                false => Vec::new(),
            },
            // CoreOS's argument, and NestOS's: who knows neither passes over them.
            kernel_args: self
                .from_ram
                .then(|| "coreos.liveiso.fromram nestos.liveiso.fromram".to_owned()),
            firmware: Some(self.firmware),
            metal: self.online,
            console_only: self.login,
            network_keyfiles: match self.keyfile {
                true => network::keyfiles(),
                false => Default::default(),
            },
            skip_base_checks: true,
            ..MachineNeeds::default()
        }
    }
}

/// Fails the test unless it is so.
fn expect(holds: bool, otherwise: impl Into<String>) -> TestResult {
    match holds {
        true => Ok(()),
        false => Err(TestFailure::Failed(otherwise.into())),
    }
}

/// Whether the kernel command line has an argument of that name, or with that value.
async fn has_argument(context: &TestContext, argument: &str) -> Result<bool, TestFailure> {
    let line = context.check_ok("cat /proc/cmdline").await?;
    let named = |word: &str| word == argument || word.split('=').next() == Some(argument);
    Ok(line.split_whitespace().any(named))
}

/// Whether the machine runs a live system.
async fn is_live(context: &TestContext) -> Result<bool, TestFailure> {
    let line = context.check_ok("cat /proc/cmdline").await?;
    // The last is how kolea boots what has its root file system in the initramfs.
    let live = |word: &str| {
        word.contains(".liveiso=")
            || word.contains(".live.rootfs_url=")
            || word == "initrd=rootfs.img"
    };
    Ok(line.split_whitespace().any(live))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_say_what_a_scenario_is() {
        let scenario = Scenario::of("iso-offline-install-fromram.4k.uefi");
        assert!(scenario.install && scenario.from_ram && !scenario.login && !scenario.as_disk);
        assert_eq!(scenario.firmware, Firmware::Uefi);
        let disk = &scenario.needs().additional_disks[0];
        assert_eq!((disk.sectors.logical(), disk.multipath), (4096, false));
        let scenario = Scenario::of("iso-offline-install.mpath.bios");
        assert!(scenario.needs().additional_disks[0].multipath);
        let scenario = Scenario::of("iso-as-disk.uefi-secure");
        assert!(scenario.as_disk && !scenario.install);
        assert!(scenario.needs().additional_disks.is_empty());
        assert_eq!(scenario.firmware, Firmware::UefiSecure);
        let booted = |name| Scenario::of(name).needs().boot_from;
        assert_eq!(booted("pxe-online-install.bios"), Some(BootFrom::Pxe));
        let online = |name| Scenario::of(name).needs().metal;
        assert!(online("pxe-online-install.bios") && online("iso-install.bios"));
        assert!(!online("pxe-offline-install.uefi") && !online("iso-live-boot.bios"));
        let scenario = Scenario::of("pxe-offline-install.rootfs-appended.4k.uefi");
        assert_eq!(scenario.boot_from(), BootFrom::PxeRootfsAppended);
        assert!(scenario.install && !scenario.from_ram);
        let scenario = Scenario::of("miniso-install.4k.uefi");
        assert_eq!(scenario.boot_from(), BootFrom::MinimalIso);
        assert!(scenario.install && !scenario.online && scenario.large_sectors);
        assert!(scenario.needs().network_keyfiles.is_empty());
        let scenario = Scenario::of("miniso-install.4k.nm.uefi");
        assert!(scenario.minimal && scenario.needs().network_keyfiles.len() == 1);
        assert!(Scenario::of("iso-live-login.bios").needs().console_only);
        let disk = &Scenario::of("iso-live-login.4k.uefi")
            .needs()
            .additional_disks[0];
        assert_eq!(disk.sectors.logical(), 4096);
        let needs = Scenario::of("iso-offline-install.bios").needs();
        assert_eq!((needs.additional_disks.len(), needs.kernel_args), (1, None));
    }
}
