use proptest::prelude::*;
use simple_dns::{CLASS, Name, Packet, Question, TYPE};
use smoltcp::wire::{DhcpMessageType, DhcpPacket, DhcpRepr};

use super::*;
use crate::switch::addresses::mac;

fn host() -> Host {
    let mut host = Host::default();
    host.add_name("qemu0", 0);
    host.add_name("QEMU1", 1);
    host
}

/// A datagram of machine 0.
fn sent(to: Ipv4Addr, from_port: u16, port: u16, data: &[u8]) -> Frame {
    let answer = Datagram {
        to,
        port,
        data: data.to_vec(),
    };
    let mut bytes = datagram(SWITCH_MAC, from_port, &answer)
        .unwrap()
        .ethernet()
        .to_vec();
    bytes[6..12].copy_from_slice(&mac(0).0);
    let from = if port == DHCP_SERVER {
        Ipv4Addr::UNSPECIFIED
    } else {
        address(0)
    };
    let mut packet = Ipv4Packet::new_unchecked(&mut bytes[14..]);
    packet.set_src_addr(from);
    packet.fill_checksum();
    let mut udp = UdpPacket::new_unchecked(packet.payload_mut());
    udp.fill_checksum(&from.into(), &to.into());
    Frame::new(&bytes).unwrap()
}

/// Whom an answer is for, by both addresses, with its ports and its data.
fn received(frame: &Frame) -> (EthernetAddress, Ipv4Addr, (u16, u16), Vec<u8>) {
    let checksums = ChecksumCapabilities::default();
    let frame = EthernetFrame::new_checked(frame.ethernet()).unwrap();
    assert_eq!(frame.src_addr(), SWITCH_MAC);
    let packet = Ipv4Packet::new_checked(frame.payload()).unwrap();
    let head = Ipv4Repr::parse(&packet, &checksums).unwrap();
    let udp = UdpPacket::new_checked(packet.payload()).unwrap();
    let ports = UdpRepr::parse(
        &udp,
        &head.src_addr.into(),
        &head.dst_addr.into(),
        &checksums,
    )
    .unwrap();
    let ports = (ports.src_port, ports.dst_port);
    (
        frame.dst_addr(),
        head.dst_addr,
        ports,
        udp.payload().to_vec(),
    )
}

#[test]
fn it_answers_dns_at_its_own_address() {
    let mut query = Packet::new_query(5);
    let name = Name::new("qemu1").unwrap();
    query
        .questions
        .push(Question::new(name, TYPE::A.into(), CLASS::IN.into(), false));
    let query = query.build_bytes_vec().unwrap();
    let answer = host().answer(0, &sent(SWITCH, 4321, DNS, &query)).unwrap();
    let (to, ip, ports, data) = received(&answer);
    assert_eq!((to, ip, ports), (mac(0), address(0), (DNS, 4321)));
    assert_eq!(Packet::parse(&data).unwrap().answers.len(), 1);
    assert_eq!(host().answer(0, &sent(address(1), 4321, DNS, &query)), None);
    assert_eq!(host().answer(0, &sent(SWITCH, 4321, 5353, &query)), None);
}

#[test]
fn it_answers_dhcp_before_the_client_has_an_address() {
    let discover = DhcpRepr {
        message_type: DhcpMessageType::Discover,
        transaction_id: 1,
        secs: 0,
        client_hardware_address: mac(0),
        client_ip: Ipv4Addr::UNSPECIFIED,
        your_ip: Ipv4Addr::UNSPECIFIED,
        server_ip: Ipv4Addr::UNSPECIFIED,
        router: None,
        subnet_mask: None,
        relay_agent_ip: Ipv4Addr::UNSPECIFIED,
        broadcast: true,
        requested_ip: None,
        client_identifier: None,
        server_identifier: None,
        parameter_request_list: None,
        dns_servers: None,
        max_size: None,
        lease_duration: None,
        renew_duration: None,
        rebind_duration: None,
        additional_options: &[],
    };
    let mut data = vec![0; discover.buffer_len()];
    discover
        .emit(&mut DhcpPacket::new_unchecked(&mut data))
        .unwrap();
    let discover = sent(Ipv4Addr::BROADCAST, DHCP_CLIENT, DHCP_SERVER, &data);
    let answer = host().answer(0, &discover).unwrap();
    let (to, ip, ports, _) = received(&answer);
    assert_eq!((to, ip), (EthernetAddress::BROADCAST, Ipv4Addr::BROADCAST));
    assert_eq!(ports, (DHCP_SERVER, DHCP_CLIENT));
    assert_eq!(host().answer(1, &discover), None);
}

#[test]
fn it_answers_arp_for_itself_alone() {
    let ask = |target| {
        let request = ArpRepr::EthernetIpv4 {
            operation: ArpOperation::Request,
            source_hardware_addr: mac(0),
            source_protocol_addr: address(0),
            target_hardware_addr: EthernetAddress([0; 6]),
            target_protocol_addr: target,
        };
        let emit = |payload: &mut [u8]| request.emit(&mut ArpPacket::new_unchecked(payload));
        let length = request.buffer_len();
        let mut bytes = ethernet(
            EthernetAddress::BROADCAST,
            EthernetProtocol::Arp,
            length,
            emit,
        )
        .unwrap()
        .ethernet()
        .to_vec();
        bytes[6..12].copy_from_slice(&mac(0).0);
        host().answer(0, &Frame::new(&bytes).unwrap())
    };
    let reply = ask(SWITCH).unwrap();
    assert_eq!(reply.addresses(), Some((mac(0), SWITCH_MAC)));
    assert_eq!(ask(address(1)), None);
}

proptest! {
    #[test]
    fn no_frame_is_too_strange(
        bytes in proptest::collection::vec(any::<u8>(), 0..400),
        known in proptest::option::weighted(0.8, 0usize..3),
        cut in 0usize..80,
    ) {
        // Whole, or with a good beginning, so that the inner formats are reached.
        let frame = match known {
            None => bytes,
            Some(kind) => {
                let (to, ports) = [(SWITCH, (1, DNS)), (Ipv4Addr::BROADCAST, (DHCP_CLIENT, DHCP_SERVER)), (SWITCH, (9, 9))][kind];
                let mut frame = sent(to, ports.0, ports.1, &bytes).ethernet().to_vec();
                frame.truncate(frame.len() - cut.min(frame.len()));
                frame
            }
        };
        host().answer(0, &Frame::new(&frame).unwrap());
    }
}
