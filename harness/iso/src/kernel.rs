//! The architecture of a kernel, by the first bytes of its file.

/// How many of them tell it.
pub(crate) const HEAD: u64 = 1024;

/// The architecture by its RPM name, if it can be told. `head` is the beginning of the kernel's file.
pub(crate) fn architecture(head: &[u8]) -> Option<&'static str> {
    let half = |at: usize| {
        let two = head.get(at..).and_then(|rest| rest.first_chunk());
        two.map(|two| u16::from_le_bytes(*two))
    };
    // Linux for x86 is a boot sector, too.
    if head.get(0x202..0x206) == Some(b"HdrS") {
        return Some("x86_64");
    }
    if head.get(0x38..0x3c) == Some(b"ARM\x64") {
        return Some("aarch64");
    }
    if head.get(0x38..0x3c) == Some(b"RSC\x05") {
        return Some("riscv64");
    }
    if head.starts_with(b"MZ") {
        let header = usize::from(half(0x3c)?);
        if head.get(header..header + 4) != Some(b"PE\0\0") {
            return None;
        }
        return match half(header + 4)? {
            0x8664 => Some("x86_64"),
            0xaa64 => Some("aarch64"),
            0x5064 => Some("riscv64"),
            _ => None,
        };
    }
    if head.starts_with(b"\x7fELF") {
        let little = head.get(5) == Some(&1);
        return match half(18)? {
            62 => Some("x86_64"),
            183 => Some("aarch64"),
            243 => Some("riscv64"),
            21 if little => Some("ppc64le"),
            // It is big-endian.
            machine if machine.swap_bytes() == 22 => Some("s390x"),
            _ => None,
        };
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn head(parts: &[(usize, &[u8])]) -> Vec<u8> {
        let mut head = vec![0; HEAD as usize];
        for (at, bytes) in parts {
            head[*at..at + bytes.len()].copy_from_slice(bytes);
        }
        head
    }

    #[test]
    fn architectures_are_told() {
        for (parts, expected) in [
            (vec![(0, &b"MZ"[..]), (0x202, b"HdrS")], Some("x86_64")),
            (vec![(0x38, &b"ARM\x64"[..])], Some("aarch64")),
            (
                vec![(0, &b"MZ"[..]), (0x3c, &[0x40]), (0x40, b"PE\0\0\x64\xaa")],
                Some("aarch64"),
            ),
            (vec![(0, &b"MZ"[..]), (0x3c, b"\xff\xff")], None),
            (
                vec![(0, &b"\x7fELF\x02\x01"[..]), (18, &[21, 0])],
                Some("ppc64le"),
            ),
            (
                vec![(0, &b"\x7fELF\x02\x02"[..]), (18, &[0, 22])],
                Some("s390x"),
            ),
            (vec![], None),
        ] {
            assert_eq!(architecture(&head(&parts)), expected);
        }
        assert_eq!(architecture(b"MZ"), None);
        assert_eq!(architecture(b""), None);
    }
}
