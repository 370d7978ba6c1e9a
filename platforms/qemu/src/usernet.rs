//! The network that QEMU itself makes for a machine (`-netdev user`): which it can be.

use std::net::Ipv4Addr;

use crate::QemuError;

/// The smallest network that QEMU's addresses fit into: the guest gets the 15th.
const MOST_BITS: u8 = 27;
/// The largest that QEMU takes.
const LEAST_BITS: u8 = 4;

/// Whether a network can be that of the primary interface: `ADDRESS/BITS`.
pub fn check(network: &str) -> Result<(), QemuError> {
    let fault = |message: String| {
        Err(QemuError::Usernet {
            network: network.to_owned(),
            message,
        })
    };
    let parsed = network.split_once('/').and_then(|(address, bits)| {
        let digits = bits.bytes().all(|byte| byte.is_ascii_digit());
        let address: Ipv4Addr = address.parse().ok()?;
        Some((address, bits.parse::<u8>().ok().filter(|_| digits)?))
    });
    let Some((address, bits)) = parsed else {
        return fault("write ADDRESS/BITS, as in 192.168.76.0/24".to_owned());
    };
    if !(LEAST_BITS..=MOST_BITS).contains(&bits) {
        return fault(format!(
            "the bits are between {LEAST_BITS} and {MOST_BITS}, as in {address}/24"
        ));
    }
    let mask = u32::MAX << (32 - bits);
    let first = Ipv4Addr::from(u32::from(address) & mask);
    if address != first {
        return fault(format!(
            "that network begins at {first}; write {first}/{bits}"
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_are_checked_before_qemu_sees_them() {
        for good in ["192.168.76.0/24", "10.0.0.0/8", "172.16.5.32/27"] {
            assert!(check(good).is_ok(), "{good}");
        }
        for (wrong, part) in [
            ("", "write ADDRESS/BITS"),
            ("192.168.76.0", "write ADDRESS/BITS"),
            ("192.168.76.0/+24", "write ADDRESS/BITS"),
            ("192.168.76.0/24,restrict=off", "write ADDRESS/BITS"),
            ("fec0::/64", "write ADDRESS/BITS"),
            ("192.168.76.0/28", "between 4 and 27"),
            ("0.0.0.0/0", "between 4 and 27"),
            ("192.168.76.5/24", "write 192.168.76.0/24"),
        ] {
            let error = check(wrong).unwrap_err().to_string();
            assert!(error.contains("(--usernet-addr)"), "{error}");
            assert!(error.contains(part), "{error}");
        }
    }
}
