//! What the switch answers to DNS: the addresses of machines, by their names. Everything else is refused, which makes
//! resolvers that came here first ask the next server: that of the primary interface.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;

use simple_dns::rdata::{A, RData};
use simple_dns::{CLASS, OPCODE, Packet, PacketFlag, QCLASS, QTYPE, RCODE, ResourceRecord, TYPE};

use super::addresses::DOMAIN;

/// How long an answer is valid, in seconds.
const TTL: u32 = 60;

/// Answers a query, if that deserves an answer. `names`: host names in small letters, and their addresses.
pub fn answer(query: &[u8], names: &BTreeMap<String, Ipv4Addr>) -> Option<Vec<u8>> {
    let Ok(query) = Packet::parse(query) else {
        // Too new for us, or nonsense: whoever can say which query it was is told so.
        let id = u16::from_be_bytes(query.get(..2)?.try_into().ok()?);
        let is_query = query.get(2)? & 0x80 == 0;
        let mut reply = Packet::new_reply(id);
        *reply.rcode_mut() = RCODE::FormatError;
        return is_query.then(|| reply.build_bytes_vec().ok()).flatten();
    };
    if query.has_flags(PacketFlag::RESPONSE) {
        return None;
    }
    let mut reply = Packet::new_reply(query.id());
    if query.has_flags(PacketFlag::RECURSION_DESIRED) {
        reply.set_flags(PacketFlag::RECURSION_DESIRED);
    }
    *reply.rcode_mut() = RCODE::Refused;
    let [question] = query.questions.as_slice() else {
        return reply.build_bytes_vec().ok();
    };
    reply.questions.push(question.clone());
    let name = question.qname.to_string().to_ascii_lowercase();
    let internet = matches!(question.qclass, QCLASS::CLASS(CLASS::IN) | QCLASS::ANY);
    if query.opcode() == OPCODE::StandardQuery
        && internet
        && let Some(found) = look_up(&name, names)
    {
        reply.set_flags(PacketFlag::AUTHORITATIVE_ANSWER);
        *reply.rcode_mut() = match found {
            Found::Nothing => RCODE::NameError,
            Found::Domain | Found::Machine(_) => RCODE::NoError,
        };
        let wants_a = matches!(question.qtype, QTYPE::TYPE(TYPE::A) | QTYPE::ANY);
        if let Found::Machine(address) = found
            && wants_a
        {
            reply.answers.push(ResourceRecord::new(
                question.qname.clone(),
                CLASS::IN,
                TTL,
                RData::A(A::from(address)),
            ));
        }
    }
    reply.build_bytes_vec().ok()
}

/// What a name of ours stands for.
enum Found {
    Machine(Ipv4Addr),
    /// The domain itself.
    Domain,
    Nothing,
}

/// What is known of a name; none if it is none of ours.
fn look_up(name: &str, names: &BTreeMap<String, Ipv4Addr>) -> Option<Found> {
    if name == DOMAIN {
        return Some(Found::Domain);
    }
    let host = name
        .strip_suffix(DOMAIN)
        .and_then(|host| host.strip_suffix('.'));
    let found = names.get(host.unwrap_or(name));
    match found {
        Some(address) => Some(Found::Machine(*address)),
        None => host.map(|_| Found::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use simple_dns::{Name, Question};

    use super::super::addresses::address;
    use super::*;

    fn names() -> BTreeMap<String, Ipv4Addr> {
        [("qemu0", 0), ("qemu1", 1)]
            .map(|(name, machine)| (name.to_owned(), address(machine)))
            .into()
    }

    /// What is answered to a query for a name: the code, and the addresses.
    fn ask(name: &str, kind: TYPE) -> (RCODE, Vec<Ipv4Addr>) {
        let mut query = Packet::new_query(99);
        query.set_flags(PacketFlag::RECURSION_DESIRED);
        let name = Name::new(name).unwrap();
        let question = Question::new(name, kind.into(), CLASS::IN.into(), false);
        query.questions.push(question);
        let reply = answer(&query.build_bytes_vec().unwrap(), &names()).unwrap();
        let reply = Packet::parse(&reply).unwrap();
        assert!(reply.has_flags(PacketFlag::RESPONSE | PacketFlag::RECURSION_DESIRED));
        assert!(!reply.has_flags(PacketFlag::RECURSION_AVAILABLE));
        assert_eq!((reply.id(), reply.questions.len()), (99, 1));
        let addresses = reply.answers.iter().map(|record| match &record.rdata {
            RData::A(A { address }) => Ipv4Addr::from(*address),
            other => panic!("{other:?}"),
        });
        (reply.rcode(), addresses.collect())
    }

    #[test]
    fn machines_are_known_by_both_names_and_in_any_letters() {
        for name in [
            "qemu1",
            "QEMU1",
            "qemu1.kolea.internal",
            "Qemu1.Kolea.Internal",
        ] {
            assert_eq!(
                ask(name, TYPE::A),
                (RCODE::NoError, vec![address(1)]),
                "{name}"
            );
            // There, but without such an address: a look-up of both kinds does not fail for it.
            assert_eq!(ask(name, TYPE::AAAA), (RCODE::NoError, vec![]), "{name}");
        }
    }

    #[test]
    fn what_is_not_ours_is_for_others_to_answer() {
        for name in [
            "example.com",
            "qemu9",
            "internal",
            "qemu1.example.com",
            "xkolea.internal",
        ] {
            assert_eq!(ask(name, TYPE::A), (RCODE::Refused, vec![]), "{name}");
        }
        assert_eq!(
            ask("qemu9.kolea.internal", TYPE::A),
            (RCODE::NameError, vec![])
        );
        assert_eq!(ask("kolea.internal", TYPE::SOA), (RCODE::NoError, vec![]));
    }

    #[test]
    fn nonsense_is_told_so_and_replies_are_not_replied_to() {
        let nonsense = [0, 7, 0, 0, 0, 9, 0, 0, 0, 0, 0, 0];
        let reply = answer(&nonsense, &names()).unwrap();
        let reply = Packet::parse(&reply).unwrap();
        assert_eq!((reply.id(), reply.rcode()), (7, RCODE::FormatError));
        let reply = Packet::new_reply(1).build_bytes_vec().unwrap();
        assert_eq!(answer(&reply, &names()), None);
        assert_eq!(answer(&[1], &names()), None);
        let empty = Packet::new_query(1).build_bytes_vec().unwrap();
        let reply = answer(&empty, &names()).unwrap();
        assert_eq!(Packet::parse(&reply).unwrap().rcode(), RCODE::Refused);
    }

    proptest! {
        #[test]
        fn no_query_is_too_strange(
            bytes in proptest::collection::vec(any::<u8>(), 0..120),
            head in proptest::option::of(Just([0, 7, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0])),
        ) {
            let query = [head.as_ref().map_or(&[][..], |head| &head[..]), &bytes].concat();
            answer(&query, &names());
        }
    }
}
