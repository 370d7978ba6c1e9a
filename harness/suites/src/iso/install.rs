//! Installing to a disk, and booting from it.

use kolea_machine::ignition::with_units;
use kolea_machine::{TestContext, TestFailure, TestResult, Unit};
use kolea_model::ServerNeeds;

use crate::multipath;

use super::{Scenario, expect, has_argument, is_live, network};

/// The disk, by the serial number that kola and kolea give it.
const TARGET: &str = "/dev/disk/by-id/virtio-disk1";
/// The same on two paths, as multipath calls the only such disk.
const MAP: &str = "/dev/mapper/mpatha";
/// Where the config for the installed system is put; in memory.
const CONFIG: &str = "/tmp/kolea-installed.ign";
/// A kernel argument that the installed system is to have.
const ARGUMENT: &str = "kolea.installed";
/// What systemd says on the console when it gives up.
const EMERGENCY: &str = "You are in emergency mode";

/// The live system installs with the config that this machine has itself, and a unit that reports on port `testisocompletion` when
/// the installed system is up, as kola's does. Then what was installed boots, and lets us in.
pub async fn installs(context: TestContext, scenario: Scenario) -> TestResult {
    let profile = context.profile().clone();
    let Some(installer) = profile.installer else {
        return Err(TestFailure::Skipped(format!(
            "the profile `{}` names no installer; name a distribution by -b",
            profile.name
        )));
    };
    expect(
        is_live(&context).await?,
        "the kernel command line is not a live system's",
    )?;
    if scenario.boot_from().is_served() {
        came_from_the_server(&context).await?;
    }
    if scenario.from_ram {
        let mounted = context.ssh("findmnt -n /run/media/iso").await?;
        expect(
            mounted.status != 0,
            "the ISO is still mounted, though the live system was to be in memory",
        )?;
    }

    if scenario.keyfile {
        network::has_networkmanager(&context).await?;
        network::is_used(&context, "the live system").await?;
    }

    let done = format!("{installer}-test-OK");
    context
        .put(CONFIG, &installed_config(&context, &done)?)
        .await?;
    let (target, multipath) = match scenario.multipath {
        true => (MAP, multipath::root::ARGUMENTS),
        false => (TARGET, ""),
    };
    if scenario.multipath {
        multipath::start(&context, MAP).await?;
    }
    let sectors = context
        .check_ok(&format!("sudo blockdev --getss {target}"))
        .await?;
    let wanted = scenario.sectors().logical().to_string();
    expect(
        sectors == wanted,
        format!("{target} has sectors of {sectors} bytes, not {wanted}"),
    )?;
    let multipath: String = (multipath.split_whitespace())
        .map(|argument| format!("--append-karg {argument} "))
        .collect();
    let source = match scenario.online {
        // What is served is signed by nobody.
        true => format!(
            "--insecure --image-url http://{}{} ",
            ServerNeeds::ADDRESS,
            ServerNeeds::METAL_PATH
        ),
        false => String::new(),
    };
    let copy = match scenario.keyfile {
        true => "--copy-network ",
        false => "",
    };
    // The installed system speaks where the live one does.
    let consoles = "$(grep -o '\\bconsole=[^ ]*' /proc/cmdline | sed 's/^/--append-karg /')";
    let install = format!(
        "sudo {installer} install {source}{copy}--ignition-file {CONFIG} --append-karg {ARGUMENT} {multipath}{consoles} {target}"
    );
    // Its own words are in the test's output; the last of them are in the verdict.
    context.check_ok(&install).await?;
    if scenario.online {
        expect(
            was_fetched(&context, ServerNeeds::METAL_PATH)?,
            "the installer did not fetch the image from the server",
        )?;
    }

    let live = context
        .check_ok("cat /proc/sys/kernel/random/boot_id")
        .await?;
    // The answer may not come any more.
    let _ = context.ssh("sudo systemctl reboot").await;
    tokio::select! {
        said = context.wait_said(&done) => said?,
        emergency = context.wait_said(EMERGENCY) => {
            emergency?;
            return Err(TestFailure::Failed(
                "the installed system came to the emergency shell; console.txt says why".to_owned(),
            ));
        }
    }
    let live = kolea_machine::BootId(live);
    context.machine().wait_ready(Some(&live)).await?;
    expect(
        !is_live(&context).await?,
        "after the installation, it is the live system that has booted again",
    )?;
    expect(
        has_argument(&context, ARGUMENT).await?,
        format!("the installed system does not have the kernel argument {ARGUMENT}"),
    )?;
    if scenario.multipath {
        multipath::is_below(&context, "/").await?;
    }
    if scenario.keyfile {
        network::is_used(&context, "the installed system").await?;
    }
    Ok(())
}

/// The live system's root file system is the server's, and there is none on an ISO.
async fn came_from_the_server(context: &TestContext) -> TestResult {
    expect(
        was_fetched(context, ServerNeeds::ROOTFS_PATH)?,
        "the live system did not fetch its root file system from the server",
    )?;
    let line = context.check_ok("cat /proc/cmdline").await?;
    expect(
        !line.contains(".liveiso="),
        format!("the live system has its root file system from the ISO: {line}"),
    )
}

/// Whether the machine got what its server has at that path.
fn was_fetched(context: &TestContext, path: &str) -> Result<bool, TestFailure> {
    let requests = context.site()?.requests();
    let mut whole = requests
        .iter()
        .filter(|request| request.status == Some(200));
    Ok(whole.any(|request| request.path == path))
}

/// The config of this machine, with a unit that says when the system is up.
fn installed_config(context: &TestContext, done: &str) -> Result<String, TestFailure> {
    let path = context.machine().dir().join("ignition.json");
    let config = std::fs::read_to_string(&path)
        .map_err(|error| TestFailure::Failed(format!("cannot read {}: {error}", path.display())))?;
    let unit = Unit {
        name: "kolea-installed.service".to_owned(),
        enabled: true,
        contents: format!(
            "[Unit]\n\
             Description=Report that the installed system is up\n\
             OnFailure=emergency.target\n\
             OnFailureJobMode=isolate\n\
             [Service]\n\
             Type=oneshot\n\
             RemainAfterExit=yes\n\
             ExecStart=/bin/sh -c '/usr/bin/echo {done} >/dev/virtio-ports/testisocompletion'\n\
             [Install]\n\
             WantedBy=multi-user.target\n"
        ),
    };
    with_units(&config, &[unit])
        .map_err(|error| TestFailure::Failed(format!("{} is no config: {error}", path.display())))
}
