//! Live systems.

use kolea_machine::{TestContext, TestResult};

use super::{Scenario, expect, is_live};

/// It boots, Ignition applies its config (which lets us in), and it is where it should be.
pub async fn boots(context: TestContext, scenario: Scenario) -> TestResult {
    expect(
        is_live(&context).await?,
        "the kernel command line is not a live system's",
    )?;
    // Where CoreOS and NestOS mount the ISO.
    let device = context
        .check_ok("findmnt -n -o SOURCE /run/media/iso")
        .await?;
    let kind = context
        .check_ok(&format!("lsblk -n -d -o TYPE {device}"))
        .await?;
    expect(
        (kind == "rom") != scenario.as_disk,
        format!("the ISO is {device}, which is a `{kind}`"),
    )
}

/// Without a config its user is logged in on the console.
pub async fn logs_in(context: TestContext, _: Scenario) -> TestResult {
    let user = context.profile().user.clone();
    context
        .wait_said(&format!("login: {user} (automatic login)"))
        .await
}
