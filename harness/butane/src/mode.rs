//! Modes of files that were probably meant as octal numbers.

/// The mode that a decimal number was probably meant as: it makes no sense as it is, and does if its digits are octal.
pub(crate) fn meant_as_octal(mode: i64, directory: bool) -> Option<i64> {
    if !(0..=7777).contains(&mode) {
        return None;
    }
    let octal = i64::from_str_radix(&mode.to_string(), 8).ok()?;
    (!is_typical(mode, directory) && is_typical(octal, directory)).then_some(octal)
}

/// Whether somebody would choose this mode: no class may do more than the one before it, and so on.
fn is_typical(mode: i64, directory: bool) -> bool {
    if mode == 0 {
        return true;
    }
    let (mut readable, mut writable, mut executable) = (false, false, false);
    for class in [mode & 7, mode >> 3 & 7, mode >> 6 & 7] {
        let (read, write, execute) = (class & 4 != 0, class & 2 != 0, class & 1 != 0);
        let less_than_others =
            (readable && !read) || (writable && !write) || (executable && !execute);
        let others_cannot_execute = execute && readable && !executable;
        if less_than_others || others_cannot_execute || ((write || execute) && !read) {
            return false;
        }
        (readable, writable, executable) =
            (readable || read, writable || write, executable || execute);
    }
    let has = |bits: i64| mode & bits != 0;
    if !readable {
        false
    } else if directory {
        executable && !has(0o4000) && (!has(0o3000) || writable)
    } else {
        !has(0o1000) && (!has(0o6000) || (executable && !has(0o2)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Facts: the lists of Butane's `base/util/file_test.go` and its rules.
    #[test]
    fn decimal_modes_are_found() {
        for (mode, octal) in [
            (644, 0o644),
            (600, 0o600),
            (755, 0o755),
            (444, 0o444),
            (4755, 0o4755),
        ] {
            assert_eq!(meant_as_octal(mode, false), Some(octal), "{mode}");
        }
        for mode in [755, 700, 1777, 2775] {
            assert!(meant_as_octal(mode, true).is_some(), "{mode}");
        }
        for mode in [
            0o644, 0o755, 0o600, 0o4755, 0o444, 0, -1, 8888, 9999, 10_000,
        ] {
            assert_eq!(meant_as_octal(mode, false), None, "{mode}");
        }
        for mode in [0o755, 0o1777, 0o2775, 0o700] {
            assert_eq!(meant_as_octal(mode, true), None, "{mode}");
        }
    }
}
