//! The exit codes, for `--help`.

/// The table at the end of `kolea run --help`.
pub const EXIT_CODES: &str = "\
Exit codes:
    0  every test passed, was flaky or skipped, or failed and may
    1  at least one test failed or timed out, or the command itself failed
    2  the command line, a test tree or the image is wrong; nothing was booted
    3  no test failed, but the infrastructure kept at least one from a verdict
    4  no test matches, or none that does can run here
   77  only tests failed that may fail, with --on-warn-failure-exit-77
  130  stopped by a signal; what ran is in the reports
Called as `kola`, 2, 3 and 4 are 1, as kola has it.";
