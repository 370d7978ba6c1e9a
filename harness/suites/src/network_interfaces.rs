//! `network.interfaces`: additional interfaces have the addresses that kola gives them, lead nowhere, and a forwarded port leads
//! into the guest.

use kolea_machine::{NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::{HostForward, MachineNeeds};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use crate::guest::{HOST, SLOW, connect, expect, interface_with_address, unless_reached, wait_for};

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "network.interfaces",
    description: "additional interfaces have kola's addresses and are restricted, and a forwarded port leads into the guest",
    tags: &[],
    needs: || MachineNeeds {
        additional_nics: 2,
        host_forwards: vec![HostForward {
            guest: PORT,
            host: None,
        }],
        ..MachineNeeds::default()
    },
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// The forwarded port of the guest.
const PORT: u16 = 8080;
/// Hardware and IP addresses: the primary interface's, and the others' (kola).
const PRIMARY: (&str, &str) = ("52:54:00:12:34:56", "10.0.2.15");
const ADDITIONAL: [(&str, &str); 2] = [
    ("52:55:00:d1:56:00", "10.0.2.31"),
    ("52:55:00:d1:56:01", "10.0.2.32"),
];

async fn run(context: TestContext) -> TestResult {
    let ssh = context.machine().host_address(22);
    let Some(ssh) = ssh else {
        let reason = "the machine's SSH port is not forwarded from this host";
        return Err(TestFailure::Skipped(reason.to_owned()));
    };
    if context.ssh("command -v curl").await?.status != 0 {
        let reason = "the image has no curl, which can be told by which interface it goes";
        return Err(TestFailure::Skipped(reason.to_owned()));
    }
    // What finds nobody below finds the guest's own server.
    context
        .check_ok(&connect("127.0.0.1", 22, Some("lo"), SLOW))
        .await?;
    interface_with_address(&context, PRIMARY.0, PRIMARY.1).await?;
    for (mac, address) in ADDITIONAL {
        let name = interface_with_address(&context, mac, address).await?;
        // This host listens there.
        unless_reached(&context, HOST, ssh.port(), Some(&name)).await?;
    }
    let count = context
        .check_ok("ls -d /sys/class/net/*/device | wc -l")
        .await?;
    expect(count == "3", format!("there are {count} interfaces, not 3"))?;
    forwarded(&context).await
}

/// What comes in by the forwarded port reaches a service of the guest.
async fn forwarded(context: &TestContext) -> TestResult {
    context
        .check_ok(&format!(
            "sudo systemd-run --quiet --unit=kolea-echo systemd-socket-activate --listen={PORT} --accept --inetd cat"
        ))
        .await?;
    let listens = format!("bash -c 'exec 3<>/dev/tcp/127.0.0.1/{PORT}' 2>/dev/null");
    wait_for(context, "the service to listen", &listens).await?;
    let address = context.machine().host_address(PORT);
    let Some(address) = address else {
        return Err(TestFailure::Failed(format!("port {PORT} is not forwarded")));
    };
    expect(
        address.ip().is_loopback(),
        format!("port {PORT} is forwarded at {address}, which others can reach"),
    )?;
    let talk = async {
        let mut stream = TcpStream::connect(address).await?;
        stream.write_all(b"hello\n").await?;
        let mut answer = [0; 6];
        stream.read_exact(&mut answer).await?;
        std::io::Result::Ok(answer)
    };
    match talk.await {
        Ok(answer) if answer == *b"hello\n" => Ok(()),
        Ok(answer) => Err(TestFailure::Failed(format!(
            "{address} answers {:?}",
            String::from_utf8_lossy(&answer)
        ))),
        Err(error) => Err(TestFailure::Failed(format!(
            "cannot talk with the guest at {address}: {error}"
        ))),
    }
}
