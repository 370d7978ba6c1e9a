//! `network.private`: two machines on a private network find each other by their names, are cut off from each other and joined
//! again, and neither gets out by it.

use std::fs;
use std::time::Duration;

use kolea_machine::{Cable, NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::MachineNeeds;
use tokio::try_join;

use crate::guest::{HOST, SLOW, connect, expect, interface_with_address, unless_reached};

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "network.private",
    description: "two machines on a private network know each other by name, are cut off and joined again, and get nowhere else",
    tags: &[],
    needs: || MachineNeeds {
        private_network: true,
        ..MachineNeeds::default()
    },
    machines: 2,
    run: |context| Box::pin(run(context)),
};

/// What every machine serves.
const SSH: u16 = 22;
/// A delay that no network without one has, and that is soon over.
const DELAY: Duration = Duration::from_millis(400);

/// The hardware address of a machine's private interface.
fn mac(machine: usize) -> String {
    format!("52:55:00:d1:57:{machine:02x}")
}

async fn run(context: TestContext) -> TestResult {
    context.capture("network")?;
    let (one, two) = (context.on(0)?, context.on(1)?);
    try_join!(is_configured(&one, 0), is_configured(&two, 1))?;
    try_join!(finds(&one, 1), finds(&two, 0))?;
    try_join!(reaches(&one, 1), reaches(&two, 0))?;

    let network = context.network()?;
    network.partition(&[&[0], &[1]]);
    try_join!(
        is_cut_off_from(&one, 1),
        is_cut_off_from(&two, 0),
        gets_nowhere_else(&one)
    )?;
    network.join();
    try_join!(reaches(&one, 1), reaches(&two, 0))?;

    let cable = Cable {
        delay: DELAY,
        ..Cable::default()
    };
    network.set_cable(1, cable);
    is_far_away(&one, 1).await?;
    was_recorded(&one)
}

/// What went by is in the capture.
fn was_recorded(context: &TestContext) -> TestResult {
    context.network()?.stop_capture()?;
    let path = context.machine().dir().join("network.pcap");
    let bytes = fs::read(&path)
        .map_err(|error| TestFailure::Failed(format!("cannot read {}: {error}", path.display())))?;
    for text in ["SSH-", host_name(context, 1)?.as_str()] {
        expect(
            bytes
                .windows(text.len())
                .any(|part| part == text.as_bytes()),
            format!("{} has no `{text}` in it", path.display()),
        )?;
    }
    Ok(())
}

/// The interface has its address, and no default route, which the primary one may have.
async fn is_configured(context: &TestContext, machine: u32) -> TestResult {
    let address = context.network()?.address(machine);
    let name = interface_with_address(context, &mac(machine as usize), address).await?;
    let default = context.check_ok("ip -4 route show default").await?;
    expect(
        !default.contains(&format!("dev {name}")),
        format!("the private network is a default route: {default}"),
    )
}

/// A name is found, by the guest's resolver as it is, or as one would be that asks the network's name server.
async fn finds(context: &TestContext, machine: u32) -> TestResult {
    let network = context.network()?;
    let host = host_name(context, machine)?;
    let (domain, server) = (network.domain(), network.name_server());
    let expected = network.address(machine).to_string();
    let found = context
        .ssh(&format!("getent ahostsv4 {host}.{domain} | head -n 1"))
        .await?
        .stdout_text();
    if found.split_whitespace().next() == Some(&expected) {
        return Ok(());
    }
    context
        .log("the guest's resolver does not take name servers from DHCP; it is told which to ask");
    // In a mount namespace of its own: nothing of it stays.
    let found = context
        .check_ok(&format!(
            "sudo unshare --mount sh -c 'echo nameserver {server} >/run/kolea-resolv.conf && \
             mount --bind /run/kolea-resolv.conf \"$(readlink -f /etc/resolv.conf)\" && rm /run/kolea-resolv.conf && \
             getent ahostsv4 {host} | head -n 1 && getent ahostsv4 {host}.{domain} | head -n 1 && \
             ! getent ahostsv4 nobody.{domain}'"
        ))
        .await?;
    let addresses: Vec<&str> = found
        .lines()
        .filter_map(|line| line.split_whitespace().next())
        .collect();
    expect(
        addresses == [expected.as_str(); 2],
        format!("{host} is found at {addresses:?}, not at {expected}"),
    )
}

fn host_name(context: &TestContext, machine: u32) -> Result<String, TestFailure> {
    let other = context.on(machine as usize)?;
    Ok(other.name().unwrap_or_default().to_owned())
}

/// A connection by TCP carries data.
async fn reaches(context: &TestContext, machine: u32) -> TestResult {
    let address = context.network()?.address(machine);
    let banner = context.check_ok(&connect(address, SSH, None, SLOW)).await?;
    expect(
        banner.starts_with("SSH-"),
        format!("{address} says {banner:?}, which is no SSH server"),
    )
}

async fn is_cut_off_from(context: &TestContext, machine: u32) -> TestResult {
    let network = context.network()?;
    unless_reached(context, network.address(machine), SSH, None).await?;
    // The switch itself is still there.
    finds(context, machine).await
}

/// Neither this host nor what the switch does not serve.
async fn gets_nowhere_else(context: &TestContext) -> TestResult {
    let server = context.network()?.name_server();
    unless_reached(context, server, SSH, None).await?;
    if let Some(ssh) = context.machine().host_address(SSH) {
        unless_reached(context, HOST, ssh.port(), None).await?;
    }
    Ok(())
}

/// The way there and back takes twice the delay of the cable, at least.
async fn is_far_away(context: &TestContext, machine: u32) -> TestResult {
    let address = context.network()?.address(machine);
    // The connection alone: what the server takes to answer is no matter of the network.
    let command = format!(
        "bash -c 'start=${{EPOCHREALTIME/[.,]/}} && exec 3<>/dev/tcp/{address}/{SSH} && \
         echo $(( (${{EPOCHREALTIME/[.,]/}} - start) / 1000 ))'"
    );
    let took = context.check_ok(&command).await?;
    let least = 2 * DELAY.as_millis();
    expect(
        took.parse::<u128>().is_ok_and(|took| took >= least),
        format!(
            "{address} accepts after {took} ms, with a delay of {} ms each way",
            DELAY.as_millis()
        ),
    )
}
