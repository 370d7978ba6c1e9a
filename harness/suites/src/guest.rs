//! What tests ask guests, with nothing but what every image has.

use std::fmt::Display;

use kolea_machine::{TestContext, TestFailure, TestResult};

/// The host's address in QEMU's user network.
pub const HOST: &str = "10.0.2.2";

/// Fails unless it holds.
pub fn expect(holds: bool, otherwise: String) -> TestResult {
    if holds {
        Ok(())
    } else {
        Err(TestFailure::Failed(otherwise))
    }
}

/// Waits until a command succeeds, for a minute, where there is no event that all images tell of.
pub async fn wait_for(context: &TestContext, what: &str, command: &str) -> TestResult {
    let waiting =
        format!("for second in $(seq 60); do if {command}; then exit; fi; sleep 1; done; exit 1");
    let waited = context.ssh(&waiting).await?;
    expect(
        waited.status == 0,
        format!("waited a minute for {what}, in vain"),
    )
}

/// Fails unless the root file system is on that disk.
pub async fn is_on(context: &TestContext, disk: &str) -> TestResult {
    let disks = root_disks(context).await?;
    expect(
        disks.iter().any(|name| name == disk),
        format!("the root file system is not on {disk} but on {disks:?}"),
    )
}

/// What the root file system is on: the names of a partition, its disk, and what may be between.
pub async fn root_disks(context: &TestContext) -> Result<Vec<String>, TestFailure> {
    // Where `/` is an overlay of a real root file system, as with ostree, /sysroot is that.
    let source = "findmnt --noheadings --nofsroot --output SOURCE";
    let names = context
        .check_ok(&format!(
            "lsblk --inverse --noheadings --raw --output NAME \"$({source} /sysroot || {source} /)\""
        ))
        .await?;
    Ok(names.lines().map(str::to_owned).collect())
}

/// The name of the interface with that hardware address.
pub async fn interface(context: &TestContext, mac: &str) -> Result<String, TestFailure> {
    let command =
        format!("cd /sys/class/net && grep -lix {mac} */address | cut -d/ -f1 | head -n 1");
    let name = context.check_ok(&command).await?;
    expect(
        !name.is_empty(),
        format!("no interface has the address {mac}"),
    )?;
    Ok(name)
}

/// The same, when it has that IPv4 address. Skips on images that leave additional interfaces alone.
pub async fn interface_with_address(
    context: &TestContext,
    mac: &str,
    address: impl Display,
) -> Result<String, TestFailure> {
    let name = interface(context, mac).await?;
    // No event tells of it that all images have.
    let command = format!(
        "for second in $(seq 60); do ip -4 -o address show dev {name} | grep -F ' {address}/' && exit; sleep 1; done; \
         ip address show dev {name} >&2; exit 1"
    );
    let found = context.ssh(&command).await?;
    if found.status == 0 {
        return Ok(name);
    }
    let flags = context
        .check_ok(&format!("cat /sys/class/net/{name}/flags"))
        .await?;
    let up =
        u32::from_str_radix(flags.trim_start_matches("0x"), 16).is_ok_and(|bits| bits & 1 == 1);
    if !up {
        return Err(TestFailure::Skipped(format!(
            "the image does not configure {name} by itself"
        )));
    }
    Err(TestFailure::Failed(format!(
        "{name} ({mac}) did not get the address {address} within a minute"
    )))
}

/// A command that tries to connect, by that interface if one is given, and prints what the server says first: it succeeds if
/// that comes within so many seconds.
pub fn connect(host: impl Display, port: u16, interface: Option<&str>, seconds: u32) -> String {
    match interface {
        // That the server is given up then is no error.
        Some(name) => format!(
            "test \"$(sudo curl --silent --max-time {seconds} --interface {name} telnet://{host}:{port} </dev/null | head -c 4)\" = SSH-"
        ),
        None => format!(
            "timeout {seconds} bash -c 'exec 3<>/dev/tcp/{host}/{port} && read -r line <&3 && echo \"$line\"'"
        ),
    }
}

/// How long a connection may take that is to come about, in seconds: emulated guests are slow.
pub const SLOW: u32 = 60;
/// How long one is tried that is not to come about, in seconds.
const VAIN: u32 = 4;

/// Fails if somebody accepts a connection to there.
pub async fn unless_reached(
    context: &TestContext,
    host: impl Display,
    port: u16,
    interface: Option<&str>,
) -> TestResult {
    let by = interface.map_or_else(String::new, |name| format!(" by {name}"));
    let output = context.ssh(&connect(&host, port, interface, VAIN)).await?;
    expect(
        output.status != 0,
        format!("{host}:{port} can be reached{by}, which the network should not allow"),
    )
}
