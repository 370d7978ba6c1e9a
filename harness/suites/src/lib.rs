//! Compiled-in tests: written in Rust on the same `Machine` that external tests run on.

mod basic;
mod basic_firmware;
mod disks_additional;
mod guest;
mod ignition_server;
mod iso;
mod multipath;
mod network_interfaces;
mod network_private;
mod tpm_seal;

use std::sync::LazyLock;

use kolea_machine::NativeTest;

pub use iso::TAG as ISO_TAG;

/// Every compiled-in test, sorted by name.
pub fn all() -> &'static [NativeTest] {
    static ALL: LazyLock<Vec<NativeTest>> = LazyLock::new(|| {
        let mut all = vec![
            basic::TEST,
            basic::NVME,
            basic_firmware::UEFI,
            basic_firmware::UEFI_SECURE,
            disks_additional::TEST,
            ignition_server::TEST,
            multipath::partition::TEST,
            multipath::root::DAY1,
            multipath::root::DAY2,
            multipath::root::SINGLE_DISK,
            network_interfaces::TEST,
            network_private::TEST,
            tpm_seal::TEST,
        ];
        all.extend_from_slice(iso::TESTS);
        all.sort_by_key(|test| test.name);
        all
    });
    &ALL
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
