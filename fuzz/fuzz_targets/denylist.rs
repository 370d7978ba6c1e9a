//! A denylist.
#![no_main]

use std::path::Path;

use kolea_suite::Denylist;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let (_, problems) = Denylist::parse(text, Path::new("kola-denylist.yaml"));
    for problem in problems {
        assert!(!problem.message.contains('\n'), "{problem}");
    }
});
