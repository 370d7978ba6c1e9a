//! Compiled-in tests: written in Rust on the same `Machine` that external tests run on.

mod basic;
mod basic_firmware;
mod tpm_seal;

use kolea_machine::NativeTest;

/// Every compiled-in test, sorted by name.
pub fn all() -> &'static [NativeTest] {
    &[
        basic::TEST,
        basic_firmware::UEFI,
        basic_firmware::UEFI_SECURE,
        tpm_seal::TEST,
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_sorted_and_unique_and_described() {
        assert!(all().windows(2).all(|pair| pair[0].name < pair[1].name));
        assert!(all().iter().all(|test| !test.description.is_empty()));
    }
}
