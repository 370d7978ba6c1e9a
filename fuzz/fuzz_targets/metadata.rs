//! The head of a test's executable, whose problems are one line each and at a line that exists.
#![no_main]

use std::path::Path;

use libfuzzer_sys::fuzz_target;

fuzz_target!(|head: &[u8]| {
    let (_, problems) = kolea_suite::parse_header("ext.fuzz", Path::new("fuzz"), head);
    let lines = head.split(|byte| *byte == b'\n').count();
    for problem in problems {
        let line = problem.line.unwrap_or(1);
        assert!((1..=lines + 1).contains(&line), "{problem}");
        assert!(!problem.message.contains('\n'), "{problem}");
    }
});
