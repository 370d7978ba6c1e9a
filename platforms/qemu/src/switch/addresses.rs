//! Who has which address. All of it follows from a machine's number, so that nothing has to be remembered.

use std::net::Ipv4Addr;

use smoltcp::wire::EthernetAddress;

/// The domain of the machines' names. `internal` is reserved for private use (ICANN, 2024).
pub const DOMAIN: &str = "kolea.internal";
/// Length of the network's prefix. 10.99.0.0/24 collides neither with QEMU's 10.0.2.0/24 nor with what containers and
/// virtual machines in a guest use by default.
pub const PREFIX: u8 = 24;
/// The address of the switch itself, which answers DHCP and DNS.
pub const SWITCH: Ipv4Addr = Ipv4Addr::new(10, 99, 0, 1);
/// Its hardware address. As those of the machines it is locally administered, and none that QEMU gives by itself.
pub const SWITCH_MAC: EthernetAddress = EthernetAddress([0x52, 0x55, 0x00, 0xd1, 0x57, 0xff]);
/// The address of the first machine.
const FIRST: u8 = 10;
/// How many machines there can be.
pub const MOST: u32 = 200;

/// The address of a machine.
pub fn address(machine: u32) -> Ipv4Addr {
    Ipv4Addr::new(10, 99, 0, FIRST.saturating_add(byte(machine)))
}

/// The hardware address of a machine.
pub fn mac(machine: u32) -> EthernetAddress {
    EthernetAddress([0x52, 0x55, 0x00, 0xd1, 0x57, byte(machine)])
}

fn byte(machine: u32) -> u8 {
    u8::try_from(machine).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn nobody_has_anothers_address() {
        let addresses: BTreeSet<_> = (0..MOST).map(address).chain([SWITCH]).collect();
        let macs: BTreeSet<_> = (0..MOST).map(mac).chain([SWITCH_MAC]).collect();
        let all = MOST as usize + 1;
        assert_eq!((addresses.len(), macs.len()), (all, all));
        assert!(!addresses.contains(&Ipv4Addr::new(10, 99, 0, 255)));
    }
}
