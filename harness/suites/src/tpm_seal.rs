//! `tpm.seal`: what the TPM has sealed, it gives back after a reboot.

use kolea_machine::{NativeTest, TestContext, TestFailure, TestResult};
use kolea_model::MachineNeeds;

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "tpm.seal",
    description: "a secret that systemd-creds has sealed with the TPM 2.0 can be had back after a reboot",
    tags: &[],
    needs: MachineNeeds::default,
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// Where the sealed secret is. Its name is part of what is sealed.
const SEALED: &str = "/var/lib/kolea.secret";

async fn run(context: TestContext) -> TestResult {
    for (condition, otherwise) in [
        ("test -c /dev/tpmrm0", "the machine has no TPM 2.0"),
        (
            "command -v systemd-creds",
            "the image has no systemd-creds (systemd 250)",
        ),
    ] {
        if context.ssh(condition).await?.status != 0 {
            return Err(TestFailure::Skipped(otherwise.to_owned()));
        }
    }
    let version = context
        .check_ok("cat /sys/class/tpm/tpm0/tpm_version_major")
        .await?;
    if version != "2" {
        return Err(TestFailure::Failed(format!(
            "the TPM has version {version}"
        )));
    }
    let secret = context.check_ok("cat /proc/sys/kernel/random/uuid").await?;
    context
        .check_ok(&format!(
            "printf %s {secret} | sudo systemd-creds encrypt --with-key=tpm2 - {SEALED}"
        ))
        .await?;
    unseal(&context, &secret).await?;
    context.reboot().await?;
    unseal(&context, &secret).await
}

async fn unseal(context: &TestContext, secret: &str) -> TestResult {
    let unsealed = context
        .check_ok(&format!("sudo systemd-creds decrypt {SEALED} -"))
        .await?;
    if unsealed == secret {
        Ok(())
    } else {
        Err(TestFailure::Failed(format!(
            "the secret is `{unsealed}`, not `{secret}`"
        )))
    }
}
