//! Flags about which tests are meant.

use std::path::PathBuf;

use clap::Args;

/// Which tests are meant.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Selection")]
pub struct SelectArgs {
    /// Only tests with this tag; `!TAG` leaves out those with it
    #[arg(long = "tag", value_name = "TAG", value_delimiter = ',')]
    pub tags: Vec<String>,
    /// Leave out tests that need the Internet
    #[arg(long)]
    pub no_net: bool,
    /// Leave out tests whose name matches
    #[arg(long, value_name = "PATTERN", value_delimiter = ',')]
    pub denylist_test: Vec<String>,
    /// The denylist [default: <workdir>/src/config/kola-denylist.yaml]
    #[arg(long, value_name = "FILE")]
    pub denylist: Option<PathBuf>,
    /// The stream that entries of the denylist are looked up for [default: the build's]
    #[arg(long, value_name = "STREAM")]
    pub denylist_stream: Option<String>,
    /// Run denied tests, and expect them to fail
    #[arg(long)]
    pub run_denied: bool,
    /// Run tests with the tag platform-independent on platforms other than qemu, too
    #[arg(long)]
    pub run_platform_independent: bool,
    /// Run part M of N of the tests, by the hash of their names
    #[arg(long, value_name = "hash:M/N")]
    pub sharding: Option<String>,
}

/// Where tests come from, and how many of each.
#[derive(Debug, Clone, Default, Args)]
#[command(next_help_heading = "Selection")]
pub struct SuiteArgs {
    /// A directory with external tests in DIR/tests/kola [default: .]
    #[arg(short = 'E', long = "exttest", value_name = "DIR")]
    pub exttest: Vec<PathBuf>,
    /// Run N copies of each test, named NAME0, NAME1, …
    #[arg(long, default_value_t = 0, value_name = "N", hide_default_value = true)]
    pub multiply: u32,
}
