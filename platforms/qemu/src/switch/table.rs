//! Which hardware address is behind which port: what a switch learns from the frames that it sees.

use std::collections::HashMap;
use std::time::Duration;

use smoltcp::wire::EthernetAddress;

/// How long an address is known that is not seen any more (the default of IEEE 802.1D).
const AGE: Duration = Duration::from_secs(300);
/// How many addresses are known at most: a guest that makes them up must not fill the host's memory. Others are flooded.
const MOST: usize = 4096;

/// The table. Times are since any fixed moment.
#[derive(Debug, Default)]
pub struct Table(HashMap<EthernetAddress, (u32, Duration)>);

impl Table {
    /// A frame from that address came in by that port.
    pub fn learn(&mut self, address: EthernetAddress, port: u32, now: Duration) {
        if self.0.len() >= MOST && !self.0.contains_key(&address) {
            self.0.retain(|_, (_, seen)| is_fresh(*seen, now));
            if self.0.len() >= MOST {
                return;
            }
        }
        self.0.insert(address, (port, now));
    }

    /// The port that the address is behind, if that is known.
    pub fn find(&self, address: EthernetAddress, now: Duration) -> Option<u32> {
        let (port, seen) = self.0.get(&address)?;
        is_fresh(*seen, now).then_some(*port)
    }

    /// Forgets what is behind a port.
    pub fn forget(&mut self, port: u32) {
        self.0.retain(|_, (behind, _)| *behind != port);
    }
}

fn is_fresh(seen: Duration, now: Duration) -> bool {
    now.saturating_sub(seen) < AGE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(number: u16) -> EthernetAddress {
        let [high, low] = number.to_be_bytes();
        EthernetAddress([2, 0, 0, 0, high, low])
    }

    #[test]
    fn addresses_move_age_and_are_forgotten() {
        let mut table = Table::default();
        table.learn(address(1), 0, Duration::ZERO);
        table.learn(address(2), 1, Duration::ZERO);
        assert_eq!(table.find(address(1), AGE / 2), Some(0));
        table.learn(address(1), 1, AGE / 2);
        assert_eq!(table.find(address(1), AGE), Some(1));
        assert_eq!(table.find(address(2), AGE), None);
        table.forget(1);
        assert_eq!(table.find(address(1), AGE), None);
    }

    #[test]
    fn a_guest_cannot_fill_it_for_ever() {
        let mut table = Table::default();
        for number in 0..=u16::MAX {
            table.learn(address(number), 0, Duration::ZERO);
        }
        assert_eq!(table.0.len(), MOST);
        // What is known still moves, and what is old makes room.
        table.learn(address(1), 3, Duration::ZERO);
        assert_eq!(table.find(address(1), Duration::ZERO), Some(3));
        table.learn(address(u16::MAX), 2, AGE);
        assert_eq!(table.find(address(u16::MAX), AGE), Some(2));
    }
}
