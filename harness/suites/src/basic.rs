//! `basic`: what must hold on any image before anything else is worth testing (kola's test of the same name).

use kolea_machine::{NativeTest, TestContext, TestResult};
use kolea_model::{DiskChannel, DiskSpec, MachineNeeds};

use crate::guest::{expect, is_on};

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "basic",
    description: "the default target is reached, sudo and D-Bus work, machine-id is set, the root file system is writable",
    tags: &[],
    needs: MachineNeeds::default,
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// The same on a machine that boots from an NVMe disk.
pub const NVME: NativeTest = NativeTest {
    name: "basic.nvme",
    description: "what `basic` is about, on a machine that boots from an NVMe disk",
    needs: || MachineNeeds {
        primary_disk: Some(DiskSpec {
            channel: DiskChannel::Nvme,
            ..DiskSpec::default()
        }),
        ..MachineNeeds::default()
    },
    run: |context| Box::pin(run_on_nvme(context)),
    ..TEST
};

async fn run_on_nvme(context: TestContext) -> TestResult {
    is_on(&context, "nvme0n1").await?;
    run(context).await
}

/// All of it.
pub async fn run(context: TestContext) -> TestResult {
    default_target_is_reached(&context).await?;
    sudo_needs_no_password(&context).await?;
    dbus_answers(&context).await?;
    machine_id_is_set(&context).await?;
    users_can_be_added(&context).await
}

async fn default_target_is_reached(context: &TestContext) -> TestResult {
    // `--wait` returns when the boot is complete; "degraded" is the base checks' business.
    let state = context.ssh("systemctl is-system-running --wait").await?;
    let target = context
        .check_ok("systemctl is-active \"$(systemctl get-default)\"")
        .await?;
    expect(
        target == "active",
        format!(
            "the default target is {target}, the system {}",
            state.stdout_text().trim()
        ),
    )
}

async fn sudo_needs_no_password(context: &TestContext) -> TestResult {
    let uid = context.check_ok("sudo -n id -u").await?;
    expect(uid == "0", format!("sudo gives uid {uid}, not 0"))
}

async fn dbus_answers(context: &TestContext) -> TestResult {
    let names = context
        .check_ok("busctl list --no-legend --acquired")
        .await?;
    expect(
        names.contains("org.freedesktop.systemd1"),
        "systemd is not on the system bus".to_owned(),
    )
}

async fn machine_id_is_set(context: &TestContext) -> TestResult {
    let id = context.check_ok("cat /etc/machine-id").await?;
    expect(
        id.len() == 32 && id.bytes().all(|byte| byte.is_ascii_hexdigit()),
        format!("/etc/machine-id is `{id}`, not 32 hexadecimal digits"),
    )
}

async fn users_can_be_added(context: &TestContext) -> TestResult {
    context
        .check_ok("sudo useradd --create-home kolea-basic && sudo -u kolea-basic sh -c 'cd && touch file && rm file'")
        .await?;
    Ok(())
}
