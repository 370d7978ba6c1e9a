//! A disk's specification: what is read is shown so that it reads the same.
#![no_main]

use kolea_model::DiskSpec;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Ok(disk) = DiskSpec::parse_primary(text) {
        assert_eq!(DiskSpec::parse_primary(&disk.to_string()), Ok(disk));
    }
    if let Err(error) = DiskSpec::parse_additional(text) {
        assert!(!error.to_string().contains('\n'), "{error}");
    }
});
