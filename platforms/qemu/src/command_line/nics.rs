//! Network interfaces.

use std::ffi::OsString;
use std::fmt::Write as _;

use kolea_model::{MachineSpec, ServerNeeds};
use kolea_serve::relay;

use super::args::{Args, with_path};
use crate::arch::Arch;
use crate::by_hand::Netboot;
use crate::hardware::{Devices, PrivateNic, Relayed};

/// Where the network is among what the firmware boots from: disks have the numbers before it.
const NETBOOT: u32 = 9;

impl Args {
    /// All network interfaces.
    pub fn nics(&mut self, spec: &MachineSpec, devices: &Devices, netboot: Option<&Netboot>) {
        let restrict = if spec.internet { "" } else { ",restrict=on" };
        let mut primary = "user,id=eth0".to_owned();
        if let Some(network) = &spec.usernet {
            let _infallible = write!(primary, ",net={network}");
        }
        // Port 0: the kernel picks a free one, and the monitor is asked which.
        primary.push_str(",hostfwd=tcp:127.0.0.1:0-:22");
        for forward in &spec.host_forwards {
            let (host, guest) = (forward.host.unwrap_or_default(), forward.guest);
            let _infallible = write!(primary, ",hostfwd=tcp:127.0.0.1:{host}-:{guest}");
        }
        let server = devices.server.as_ref().map(to_server).unwrap_or_default();
        let _infallible = write!(primary, ",hostname={}{restrict}{server}", spec.hostname);
        let mut primary = OsString::from(primary);
        let mut boot = String::new();
        if let Some(Netboot { dir, file }) = netboot {
            primary.push(with_path(",tftp=", dir.as_os_str()));
            primary.push(with_path(",bootfile=", file.as_ref()));
            // After the disk, which the installer has something to boot from put on.
            boot = format!(",bootindex={NETBOOT}");
        }
        self.add("-netdev", primary);
        let device = self.arch.virtio("net");
        self.add("-device", format!("{device},netdev=eth0{boot}"));
        // Each on a network of its own. Tests know kola's addresses. The server is on all of them: they have the same addresses, and
        // the guest may take any for its way there.
        for number in 1..=spec.nics {
            let (address, mac) = (30 + number, number - 1);
            let place = match self.arch {
                Arch::S390x => format!(",devno=fe.1.{number:04}"),
                _ => String::new(),
            };
            self.add(
                "-netdev",
                format!("user,id=eth{number},dhcpstart=10.0.2.{address}{restrict}{server}"),
            );
            self.add(
                "-device",
                format!("{device},netdev=eth{number},mac=52:55:00:d1:56:{mac:02x}{place}"),
            );
        }
        if let Some(PrivateNic { fd, mac }) = &devices.network {
            self.add("-netdev", format!("socket,id=private,fd={fd}"));
            self.add("-device", format!("{device},netdev=private,mac={mac}"));
        }
    }
}

/// Options of a network on which the machine's server is.
fn to_server(relayed: &Relayed) -> String {
    let Relayed { program, addresses } = relayed;
    let (address, relay) = (ServerNeeds::ADDRESS, relay::COMMAND);
    [(80, addresses.http), (443, addresses.https)]
        .map(|(port, at)| format!(",guestfwd=tcp:{address}:{port}-cmd:{program} {relay} {at}"))
        .concat()
}

#[cfg(test)]
mod tests {
    use std::ffi::OsStr;

    use kolea_model::HostForward;
    use kolea_serve::ServerAddresses;

    use super::super::args::shell_quoted;
    use super::*;

    fn line(spec: &MachineSpec, private: Option<&PrivateNic>) -> String {
        line_on(Arch::X86_64, spec, private)
    }

    fn line_on(arch: Arch, spec: &MachineSpec, private: Option<&PrivateNic>) -> String {
        let devices = Devices {
            network: private.cloned(),
            ..Devices::default()
        };
        let mut args = Args::new(arch);
        args.nics(spec, &devices, None);
        shell_quoted(OsStr::new("qemu"), &args.words)
    }

    #[test]
    fn additional_ones_are_kolas_but_restricted() {
        let mut spec = MachineSpec {
            hostname: "qemu0".to_owned(),
            nics: 2,
            ..MachineSpec::default()
        };
        assert_eq!(
            line(&spec, None),
            "qemu -netdev user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname=qemu0,restrict=on -device virtio-net-pci,netdev=eth0 \
             -netdev user,id=eth1,dhcpstart=10.0.2.31,restrict=on -device virtio-net-pci,netdev=eth1,mac=52:55:00:d1:56:00 \
             -netdev user,id=eth2,dhcpstart=10.0.2.32,restrict=on -device virtio-net-pci,netdev=eth2,mac=52:55:00:d1:56:01"
        );
        let mainframe = line_on(Arch::S390x, &spec, None);
        assert!(
            mainframe.ends_with(
                " -device virtio-net-ccw,netdev=eth2,mac=52:55:00:d1:56:01,devno=fe.1.0002"
            ),
            "{mainframe}"
        );
        spec.internet = true;
        assert!(!line(&spec, None).contains("restrict"));
    }

    #[test]
    fn forwards_are_on_this_host_only() {
        let forward = |guest, host| HostForward { guest, host };
        let spec = MachineSpec {
            hostname: "qemu1".to_owned(),
            usernet: Some("192.168.76.0/24".to_owned()),
            host_forwards: vec![forward(8080, None), forward(2049, Some(2049))],
            ..MachineSpec::default()
        };
        assert_eq!(
            line(&spec, None),
            "qemu -netdev user,id=eth0,net=192.168.76.0/24,hostfwd=tcp:127.0.0.1:0-:22,hostfwd=tcp:127.0.0.1:0-:8080,\
             hostfwd=tcp:127.0.0.1:2049-:2049,hostname=qemu1,restrict=on -device virtio-net-pci,netdev=eth0"
        );
    }

    #[test]
    fn what_is_booted_from_the_network_comes_from_qemu_itself() {
        let mut args = Args::new(Arch::X86_64);
        let netboot = Netboot {
            dir: "/srv/a,b".into(),
            file: "pxelinux.0".to_owned(),
        };
        args.nics(&MachineSpec::default(), &Devices::default(), Some(&netboot));
        let line = shell_quoted(OsStr::new("qemu"), &args.words);
        assert!(
            line.ends_with(
                ",restrict=on,tftp=/srv/a,,b,bootfile=pxelinux.0 -device virtio-net-pci,netdev=eth0,bootindex=9"
            ),
            "{line}"
        );
    }

    #[test]
    fn the_server_is_reached_by_a_program_for_each_connection() {
        let devices = Devices {
            server: Some(Relayed {
                program: "/proc/7/exe".to_owned(),
                addresses: ServerAddresses {
                    http: "127.0.0.1:1080".parse().unwrap(),
                    https: "127.0.0.1:1443".parse().unwrap(),
                },
            }),
            ..Devices::default()
        };
        let mut args = Args::new(Arch::X86_64);
        let spec = MachineSpec {
            nics: 1,
            ..MachineSpec::default()
        };
        args.nics(&spec, &devices, None);
        let server = "guestfwd=tcp:10.0.2.10:80-cmd:/proc/7/exe __relay 127.0.0.1:1080,\
             guestfwd=tcp:10.0.2.10:443-cmd:/proc/7/exe __relay 127.0.0.1:1443";
        for (word, network) in [
            (1, "user,id=eth0,hostfwd=tcp:127.0.0.1:0-:22,hostname="),
            (5, "user,id=eth1,dhcpstart=10.0.2.31"),
        ] {
            let expected = format!("{network},restrict=on,{server}");
            assert_eq!(args.words[word], expected[..]);
        }
    }

    #[test]
    fn the_private_one_comes_last() {
        let spec = MachineSpec {
            nics: 1,
            ..MachineSpec::default()
        };
        let private = PrivateNic {
            fd: 8,
            mac: "52:55:00:d1:57:01".to_owned(),
        };
        let line = line(&spec, Some(&private));
        assert!(
            line.ends_with(
                "mac=52:55:00:d1:56:00 -netdev socket,id=private,fd=8 \
                 -device virtio-net-pci,netdev=private,mac=52:55:00:d1:57:01"
            ),
            "{line}"
        );
    }
}
