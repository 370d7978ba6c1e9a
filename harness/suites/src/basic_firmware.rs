//! `basic.uefi` and `basic.uefi-secure`: the same as `basic` with another firmware, which the guest can tell (kola's tests of
//! those names).

use kolea_machine::{NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::{Firmware, MachineNeeds};

use crate::basic;

/// With UEFI.
pub const UEFI: NativeTest = NativeTest {
    name: "basic.uefi",
    description: "`basic` with UEFI, which enforces no Secure Boot",
    tags: &[],
    needs: || with(Firmware::Uefi),
    machines: 1,
    run: |context| Box::pin(run(context, false)),
};

/// With Secure Boot.
pub const UEFI_SECURE: NativeTest = NativeTest {
    name: "basic.uefi-secure",
    description: "`basic` with UEFI, which enforces Secure Boot",
    tags: &[],
    needs: || with(Firmware::UefiSecure),
    machines: 1,
    run: |context| Box::pin(run(context, true)),
};

fn with(firmware: Firmware) -> MachineNeeds {
    MachineNeeds {
        firmware: Some(firmware),
        ..MachineNeeds::default()
    }
}

async fn run(context: TestContext, secure: bool) -> TestResult {
    let enforced = boolean(&context, "SecureBoot").await?;
    let setup = boolean(&context, "SetupMode").await?;
    if enforced != secure || secure && setup {
        return Err(TestFailure::Failed(format!(
            "the firmware says SecureBoot={enforced}, SetupMode={setup}"
        )));
    }
    // What the kernel makes of it is the distribution's business, but of interest.
    context
        .ssh("sudo cat /sys/kernel/security/lockdown; sudo dmesg | grep -i 'secure boot'")
        .await?;
    basic::run(context).await
}

/// One of UEFI's own variables (UEFI specification, 3.3). The kernel shows four bytes of attributes first.
async fn boolean(context: &TestContext, name: &str) -> Result<bool, TestFailure> {
    const GLOBAL: &str = "8be4df61-93ca-11d2-aa0d-00e098032b8c";
    let path = format!("/sys/firmware/efi/efivars/{name}-{GLOBAL}");
    let bytes = context.check_ok(&format!("od -An -tu1 {path}")).await?;
    match bytes.split_whitespace().nth(4) {
        Some("0") => Ok(false),
        Some("1") => Ok(true),
        _ => Err(TestFailure::Failed(format!(
            "{path} has the bytes {bytes}, where the fifth should be 0 or 1"
        ))),
    }
}
