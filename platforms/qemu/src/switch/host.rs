//! What the switch itself is on its network: an address that answers ARP, DHCP and DNS, and nothing else. Nothing is
//! remembered between two frames but the machines' names.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use smoltcp::phy::ChecksumCapabilities;
use smoltcp::wire::{
    ArpOperation, ArpPacket, ArpRepr, EthernetAddress, EthernetFrame, EthernetProtocol,
    EthernetRepr, IpAddress, IpProtocol, Ipv4Packet, Ipv4Repr, UdpPacket, UdpRepr,
};

use super::addresses::{SWITCH, SWITCH_MAC, address};
use super::frame::Frame;
use super::{dhcp, dns};

const DHCP_SERVER: u16 = 67;
const DHCP_CLIENT: u16 = 68;
const DNS: u16 = 53;
/// Hops that an answer may take.
const HOPS: u8 = 64;

/// The switch's own address, with the names that it knows.
#[derive(Debug, Default)]
pub struct Host {
    names: BTreeMap<String, Ipv4Addr>,
}

/// What is answered to a datagram, and to whom.
struct Datagram {
    to: Ipv4Addr,
    port: u16,
    data: Vec<u8>,
}

impl Host {
    /// A machine has this host name from now on.
    pub fn add_name(&mut self, name: &str, machine: u32) {
        self.names
            .insert(name.to_ascii_lowercase(), address(machine));
    }

    /// Answers a frame of a machine, if it is to be answered.
    pub fn answer(&self, machine: u32, frame: &Frame) -> Option<Frame> {
        let frame = EthernetFrame::new_checked(frame.ethernet()).ok()?;
        let sender = frame.src_addr();
        match frame.ethertype() {
            EthernetProtocol::Arp => arp(sender, frame.payload()),
            EthernetProtocol::Ipv4 => self.ipv4(machine, sender, frame.payload()),
            _ => None,
        }
    }

    fn ipv4(&self, machine: u32, sender: EthernetAddress, packet: &[u8]) -> Option<Frame> {
        let checksums = ChecksumCapabilities::default();
        let packet = Ipv4Packet::new_checked(packet).ok()?;
        let head = Ipv4Repr::parse(&packet, &checksums).ok()?;
        if head.next_header != IpProtocol::Udp || packet.more_frags() || packet.frag_offset() != 0 {
            return None;
        }
        let (from, to) = (
            IpAddress::Ipv4(head.src_addr),
            IpAddress::Ipv4(head.dst_addr),
        );
        let udp = UdpPacket::new_checked(packet.payload()).ok()?;
        let ports = UdpRepr::parse(&udp, &from, &to, &checksums).ok()?;
        let answer = match ports.dst_port {
            DHCP_SERVER if ports.src_port == DHCP_CLIENT => {
                let answer = dhcp::answer(machine, udp.payload())?;
                Datagram {
                    to: answer.to,
                    port: DHCP_CLIENT,
                    data: answer.message,
                }
            }
            DNS if head.dst_addr == SWITCH => Datagram {
                to: head.src_addr,
                port: ports.src_port,
                data: dns::answer(udp.payload(), &self.names)?,
            },
            _ => return None,
        };
        datagram(sender, ports.dst_port, &answer)
    }
}

fn arp(sender: EthernetAddress, packet: &[u8]) -> Option<Frame> {
    let packet = ArpPacket::new_checked(packet).ok()?;
    let ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Request,
        source_hardware_addr,
        source_protocol_addr,
        target_protocol_addr: SWITCH,
        ..
    } = ArpRepr::parse(&packet).ok()?
    else {
        return None;
    };
    let reply = ArpRepr::EthernetIpv4 {
        operation: ArpOperation::Reply,
        source_hardware_addr: SWITCH_MAC,
        source_protocol_addr: SWITCH,
        target_hardware_addr: source_hardware_addr,
        target_protocol_addr: source_protocol_addr,
    };
    let length = reply.buffer_len();
    ethernet(sender, EthernetProtocol::Arp, length, |payload| {
        reply.emit(&mut ArpPacket::new_unchecked(payload));
    })
}

fn datagram(to: EthernetAddress, from_port: u16, answer: &Datagram) -> Option<Frame> {
    let checksums = ChecksumCapabilities::default();
    let ports = UdpRepr {
        src_port: from_port,
        dst_port: answer.port,
    };
    let head = Ipv4Repr {
        src_addr: SWITCH,
        dst_addr: answer.to,
        next_header: IpProtocol::Udp,
        payload_len: ports.header_len() + answer.data.len(),
        hop_limit: HOPS,
    };
    let to = if answer.to.is_broadcast() {
        EthernetAddress::BROADCAST
    } else {
        to
    };
    let length = head.buffer_len() + head.payload_len;
    ethernet(to, EthernetProtocol::Ipv4, length, |payload| {
        let mut packet = Ipv4Packet::new_unchecked(payload);
        head.emit(&mut packet, &checksums);
        ports.emit(
            &mut UdpPacket::new_unchecked(packet.payload_mut()),
            &IpAddress::Ipv4(head.src_addr),
            &IpAddress::Ipv4(head.dst_addr),
            answer.data.len(),
            |data| data.copy_from_slice(&answer.data),
            &checksums,
        );
    })
}

/// A frame with so much in it.
fn ethernet(
    to: EthernetAddress,
    ethertype: EthernetProtocol,
    length: usize,
    fill: impl FnOnce(&mut [u8]),
) -> Option<Frame> {
    let head = EthernetRepr {
        src_addr: SWITCH_MAC,
        dst_addr: to,
        ethertype,
    };
    let mut bytes = vec![0; head.buffer_len() + length];
    let mut frame = EthernetFrame::new_unchecked(&mut bytes[..]);
    head.emit(&mut frame);
    fill(frame.payload_mut());
    Frame::new(&bytes)
}

#[cfg(test)]
#[path = "host_tests.rs"]
mod tests;
