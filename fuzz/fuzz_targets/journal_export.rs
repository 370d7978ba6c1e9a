//! The journal export format: it matters to no entry how its bytes are split on their way.
#![no_main]

use kolea_machine::journal::ExportParser;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: (u8, Vec<u8>)| {
    let (size, bytes) = input;
    let whole = ExportParser::default().feed(&bytes);
    let mut parser = ExportParser::default();
    let parts: Vec<_> = bytes
        .chunks(usize::from(size).max(1))
        .flat_map(|part| parser.feed(part))
        .collect();
    let lines = |entries: &[kolea_machine::journal::RawEntry]| -> Vec<String> {
        entries.iter().map(|entry| entry.to_json()).collect()
    };
    assert_eq!(lines(&whole), lines(&parts));
    for entry in &whole {
        entry.to_entry();
    }
});
