//! What the switch answers to DHCP: each machine has one address, for as long as it likes. No router is offered, so that the
//! guest's default route stays that of its primary interface.

use std::net::Ipv4Addr;

use smoltcp::wire::{DhcpMessageType, DhcpOption, DhcpPacket, DhcpRepr};

use super::addresses::{DOMAIN, PREFIX, SWITCH, address, mac};

/// How long a lease is valid, in seconds: a day, which is longer than tests run.
const LEASE: u32 = 24 * 60 * 60;
/// The length of a BOOTP message, below which some clients take it for damaged (RFC 1542).
const LEAST: usize = 300;
/// Option with the name of the domain.
const DOMAIN_NAME: u8 = 15;

/// An answer, and where it goes.
#[derive(Debug, PartialEq, Eq)]
pub struct Answer {
    /// The address; of everybody, if the client has none.
    pub to: Ipv4Addr,
    /// The message.
    pub message: Vec<u8>,
}

/// Answers what a machine sent to the server's port, if that deserves an answer.
pub fn answer(machine: u32, request: &[u8]) -> Option<Answer> {
    let packet = DhcpPacket::new_checked(request).ok()?;
    let request = DhcpRepr::parse(&packet).ok()?;
    // Whatever runs inside of the machine has no address here.
    if request.client_hardware_address != mac(machine) {
        return None;
    }
    let own = address(machine);
    let message_type = match request.message_type {
        DhcpMessageType::Discover => DhcpMessageType::Offer,
        DhcpMessageType::Inform => DhcpMessageType::Ack,
        DhcpMessageType::Request => {
            if request
                .server_identifier
                .is_some_and(|server| server != SWITCH)
            {
                return None;
            }
            let has = Some(request.client_ip).filter(|ip| !ip.is_unspecified());
            if request.requested_ip.or(has) == Some(own) {
                DhcpMessageType::Ack
            } else {
                DhcpMessageType::Nak
            }
        }
        _ => return None,
    };
    let refused = message_type == DhcpMessageType::Nak;
    let informed = request.message_type == DhcpMessageType::Inform;
    let domain = [DhcpOption {
        kind: DOMAIN_NAME,
        data: DOMAIN.as_bytes(),
    }];
    let reply = DhcpRepr {
        message_type,
        your_ip: if refused || informed {
            Ipv4Addr::UNSPECIFIED
        } else {
            own
        },
        client_ip: if refused {
            Ipv4Addr::UNSPECIFIED
        } else {
            request.client_ip
        },
        server_ip: Ipv4Addr::UNSPECIFIED,
        server_identifier: Some(SWITCH),
        requested_ip: None,
        parameter_request_list: None,
        max_size: None,
        router: None,
        subnet_mask: (!refused).then(|| Ipv4Addr::from(u32::MAX << (32 - PREFIX))),
        dns_servers: (!refused).then(|| std::iter::once(SWITCH).collect()),
        lease_duration: (!refused && !informed).then_some(LEASE),
        renew_duration: None,
        rebind_duration: None,
        additional_options: if refused { &[] } else { &domain },
        ..request
    };
    let mut message = vec![0; reply.buffer_len().max(LEAST)];
    reply
        .emit(&mut DhcpPacket::new_unchecked(&mut message))
        .ok()?;
    let to = if request.client_ip.is_unspecified() || refused {
        Ipv4Addr::BROADCAST
    } else {
        request.client_ip
    };
    Some(Answer { to, message })
}

#[cfg(test)]
mod tests {
    use smoltcp::wire::EthernetAddress;

    use super::*;

    fn request(message_type: DhcpMessageType, own: EthernetAddress) -> DhcpRepr<'static> {
        DhcpRepr {
            message_type,
            transaction_id: 7,
            secs: 0,
            client_hardware_address: own,
            client_ip: Ipv4Addr::UNSPECIFIED,
            your_ip: Ipv4Addr::UNSPECIFIED,
            server_ip: Ipv4Addr::UNSPECIFIED,
            router: None,
            subnet_mask: None,
            relay_agent_ip: Ipv4Addr::UNSPECIFIED,
            broadcast: false,
            requested_ip: None,
            client_identifier: Some(own),
            server_identifier: None,
            parameter_request_list: Some(&[1, 3, 6, 15]),
            dns_servers: None,
            max_size: Some(1500),
            lease_duration: None,
            renew_duration: None,
            rebind_duration: None,
            additional_options: &[],
        }
    }

    fn bytes(request: &DhcpRepr<'_>) -> Vec<u8> {
        let mut bytes = vec![0; request.buffer_len()];
        request
            .emit(&mut DhcpPacket::new_unchecked(&mut bytes))
            .unwrap();
        bytes
    }

    #[test]
    fn a_machine_gets_its_address_a_name_server_and_no_router() {
        let discover = request(DhcpMessageType::Discover, mac(1));
        let offer = answer(1, &bytes(&discover)).unwrap();
        assert_eq!(offer.to, Ipv4Addr::BROADCAST);
        assert!(offer.message.len() >= LEAST);
        let packet = DhcpPacket::new_checked(&offer.message[..]).unwrap();
        let domain: Vec<&[u8]> = packet
            .options()
            .filter(|o| o.kind == DOMAIN_NAME)
            .map(|o| o.data)
            .collect();
        assert_eq!(domain, [b"kolea.internal"]);
        let offer = DhcpRepr::parse(&packet).unwrap();
        assert_eq!(offer.message_type, DhcpMessageType::Offer);
        assert_eq!((offer.transaction_id, offer.your_ip), (7, address(1)));
        assert_eq!(offer.subnet_mask, Some(Ipv4Addr::new(255, 255, 255, 0)));
        assert_eq!(offer.dns_servers.unwrap().as_slice(), [SWITCH]);
        assert_eq!(
            (offer.server_identifier, offer.router),
            (Some(SWITCH), None)
        );
        assert_eq!(offer.lease_duration, Some(LEASE));
    }

    #[test]
    fn an_address_is_its_own_and_no_other() {
        let kind = |request: &DhcpRepr<'_>| {
            let answer = answer(2, &bytes(request))?;
            let packet = DhcpPacket::new_checked(&answer.message[..]).unwrap();
            let reply = DhcpRepr::parse(&packet).unwrap();
            Some((reply.message_type, reply.your_ip, answer.to))
        };
        let own = address(2);
        let acknowledged = |to| Some((DhcpMessageType::Ack, own, to));
        let selecting = DhcpRepr {
            requested_ip: Some(own),
            server_identifier: Some(SWITCH),
            ..request(DhcpMessageType::Request, mac(2))
        };
        assert_eq!(kind(&selecting), acknowledged(Ipv4Addr::BROADCAST));
        let renewing = DhcpRepr {
            client_ip: own,
            ..request(DhcpMessageType::Request, mac(2))
        };
        assert_eq!(kind(&renewing), acknowledged(own));
        let informing = DhcpRepr {
            client_ip: own,
            ..request(DhcpMessageType::Inform, mac(2))
        };
        let told = (DhcpMessageType::Ack, Ipv4Addr::UNSPECIFIED, own);
        assert_eq!(kind(&informing), Some(told));
        let wrong = DhcpRepr {
            requested_ip: Some(address(3)),
            ..request(DhcpMessageType::Request, mac(2))
        };
        let refused = (
            DhcpMessageType::Nak,
            Ipv4Addr::UNSPECIFIED,
            Ipv4Addr::BROADCAST,
        );
        assert_eq!(kind(&wrong), Some(refused));
        for silent in [
            DhcpRepr {
                server_identifier: Some(address(0)),
                ..selecting
            },
            request(DhcpMessageType::Release, mac(2)),
            request(DhcpMessageType::Discover, mac(3)),
        ] {
            assert_eq!(kind(&silent), None);
        }
    }
}
