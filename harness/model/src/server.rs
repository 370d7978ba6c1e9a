//! What a machine's own server has.

use std::collections::BTreeMap;
use std::fmt;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a machine's own server has from its start on, by path. Paths begin with a slash.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerNeeds {
    /// What is there.
    pub contents: BTreeMap<String, Served>,
    /// What goes wrong there.
    #[serde(default)]
    pub faults: BTreeMap<String, ServerFault>,
    /// The path of an Ignition config there that the machine's own config merges (compiled-in tests; external ones have configs).
    #[serde(default)]
    pub config: Option<String>,
}

impl ServerNeeds {
    /// Where the guest finds it, so that configs can name it: an address of QEMU's own network that DHCP does not give to anybody.
    pub const ADDRESS: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 10);
    /// Where machines have the disk image to be installed, if their tests ask for it (`MachineNeeds::metal`).
    pub const METAL_PATH: &str = "/kolea/metal";
    /// Where machines that fetch their live system's root file system have it.
    pub const ROOTFS_PATH: &str = "/kolea/rootfs.img";
}

/// What a server has at a path.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Served {
    /// This text.
    Text(String),
    /// A file of the host.
    File(PathBuf),
    /// What is in a directory of the host, at the paths below.
    Directory(PathBuf),
}

/// A fault of a server or of the way to it, on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ServerFault {
    /// The first requests are answered with 503 (Service Unavailable), that many.
    Unavailable(u32),
    /// The body comes at this rate, in bytes a second.
    Slow(u64),
    /// The connection is closed after that many bytes of the body, fewer than were announced.
    Truncated(u64),
    /// The body's first byte is another.
    Altered,
    /// There is never an answer.
    Silent,
}

/// As the log of requests shows it.
impl fmt::Display for ServerFault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ServerFault::Unavailable(_) => f.write_str("unavailable"),
            ServerFault::Slow(rate) => write!(f, "slow, {rate} bytes a second"),
            ServerFault::Truncated(after) => write!(f, "truncated after {after} bytes"),
            ServerFault::Altered => f.write_str("altered"),
            ServerFault::Silent => f.write_str("silent"),
        }
    }
}

/// As a URL asks for it: `unavailable:2`, `slow:4000`, `truncated:10`, `altered`, `silent`.
impl FromStr for ServerFault {
    type Err = String;

    fn from_str(text: &str) -> Result<ServerFault, String> {
        let (name, number) = match text.split_once(':') {
            Some((name, number)) => (name, number.parse::<u64>().ok()),
            None => (text, None),
        };
        let times = number.and_then(|number| u32::try_from(number).ok());
        let fault = match name {
            "unavailable" => times.map(ServerFault::Unavailable),
            "slow" => number.map(ServerFault::Slow),
            "truncated" => number.map(ServerFault::Truncated),
            "altered" if text == name => Some(ServerFault::Altered),
            "silent" if text == name => Some(ServerFault::Silent),
            _ => None,
        };
        fault.ok_or_else(|| {
            format!(
                "{text:?} is no fault: there are unavailable:TIMES, slow:BYTES_A_SECOND, truncated:BYTES, altered and silent"
            )
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn faults_have_names_and_most_a_number() {
        let parse = |text: &str| text.parse::<ServerFault>();
        assert_eq!(parse("unavailable:2"), Ok(ServerFault::Unavailable(2)));
        assert_eq!(parse("slow:4000"), Ok(ServerFault::Slow(4000)));
        assert_eq!(parse("truncated:0"), Ok(ServerFault::Truncated(0)));
        assert_eq!(parse("altered"), Ok(ServerFault::Altered));
        assert_eq!(parse("silent"), Ok(ServerFault::Silent));
        for wrong in ["", "slow", "slow:fast", "silent:1", "unavailable:-1", "503"] {
            assert!(parse(wrong).is_err(), "{wrong:?}");
        }
    }
}
