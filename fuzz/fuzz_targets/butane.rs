//! A Butane config: what comes of it is an Ignition config that is valid, or an error.
#![no_main]

use kolea_butane::{Severity, translate, validate};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let translation = translate(text, None);
    let failed = translation
        .notes
        .iter()
        .any(|note| note.severity == Severity::Error);
    assert_eq!(
        translation.ignition.is_none(),
        failed,
        "{:?}",
        translation.notes
    );
    if let Some(ignition) = translation.ignition {
        assert_eq!(validate(&ignition), Ok(()), "{ignition}");
    }
});
