//! `multipath.day1`, `multipath.day2` and `multipath.single-disk`: the system is on multipath's map of its disk. What asks for that
//! are CoreOS's kernel arguments: from the first boot on, later, and with one path lost.

use kolea_machine::{NativeTest, PRIMARY_DISK, TestContext, TestFailure, TestResult};
use kolea_model::{DiskSpec, MachineNeeds};

use super::{
    active_paths, has_tools, is_below, mapped, paths, start_writer, stop_writer, writes_go_on,
};
use crate::guest::expect;

/// From the first boot on.
pub const DAY1: NativeTest = NativeTest {
    name: "multipath.day1",
    description: "kernel arguments of the first boot put the system on multipath's map of its disk, and so it is after a reboot",
    tags: &[],
    needs: || needs(Some(ARGUMENTS)),
    machines: 1,
    run: |context| Box::pin(day1(context)),
};

/// On a system that was installed without.
pub const DAY2: NativeTest = NativeTest {
    name: "multipath.day2",
    description: "kernel arguments that are added later put the system on multipath's map of its disk",
    tags: &[],
    needs: || needs(None),
    machines: 1,
    run: |context| Box::pin(day2(context)),
};

/// A path is lost.
pub const SINGLE_DISK: NativeTest = NativeTest {
    name: "multipath.single-disk",
    description: "a system on multipath's map survives the loss of a path while it is written to, and boots by the other one",
    tags: &[],
    needs: || needs(Some(ARGUMENTS)),
    machines: 1,
    run: |context| Box::pin(single_disk(context)),
};

/// As kola has them; `rw` since the root file system is no longer the one that the boot loader names.
pub const ARGUMENTS: &str = "rd.multipath=default root=/dev/disk/by-label/dm-mpath-root rw";
/// On the root file system, wherever that may be written to.
const NUMBERS: &str = "/var/kolea-multipath-numbers";

fn needs(arguments: Option<&str>) -> MachineNeeds {
    MachineNeeds {
        primary_disk: Some(DiskSpec {
            multipath: true,
            ..DiskSpec::default()
        }),
        kernel_args: arguments.map(str::to_owned),
        ..MachineNeeds::default()
    }
}

async fn day1(context: TestContext) -> TestResult {
    is_on_the_map(&context, 2).await?;
    context.reboot().await?;
    is_on_the_map(&context, 2).await
}

async fn day2(context: TestContext) -> TestResult {
    has_tools(&context).await?;
    let before = mapped(&context, "/").await?;
    expect(
        !before,
        "the system is on multipath's map before it was asked for".to_owned(),
    )?;
    let append = ARGUMENTS
        .split(' ')
        .map(|argument| format!(" --append-if-missing={argument}"))
        .collect::<String>();
    // Each of them says so, and what it says is in the test's output.
    let edit = format!(
        "if command -v rpm-ostree; then sudo rpm-ostree kargs{append}; \
         elif sudo sh -c 'command -v grubby'; then sudo grubby --update-kernel=ALL --args='{ARGUMENTS}'; \
         else exit 77; fi"
    );
    let edited = context.ssh(&edit).await?;
    match edited.status {
        0 => {}
        77 => {
            let reason =
                "the image has neither rpm-ostree nor grubby, which could change kernel arguments";
            return Err(TestFailure::Skipped(reason.to_owned()));
        }
        status => {
            let last = edited.stderr_text();
            let last = last.trim().lines().last().unwrap_or_default();
            return Err(TestFailure::Failed(format!(
                "adding kernel arguments in the guest failed (status {status}): {last}"
            )));
        }
    }
    context.reboot().await?;
    is_on_the_map(&context, 2).await
}

async fn single_disk(context: TestContext) -> TestResult {
    is_on_the_map(&context, 2).await?;
    start_writer(&context, NUMBERS).await?;
    writes_go_on(&context).await?;
    context.remove_disk("mpath11").await?;
    paths(&context, PRIMARY_DISK, 1).await?;
    active_paths(&context, "", 1).await?;
    writes_go_on(&context).await?;
    // As it is on the disk: a file system that is in use cannot be taken down, but a reboot does that, too.
    let keep = "sudo cp /run/kolea-written /var/kolea-written && sync";
    stop_writer(&context, NUMBERS, keep).await?;
    context.reboot().await?;
    is_on_the_map(&context, 1).await?;
    context
        .check_ok(&format!(
            "seq $(cat /var/kolea-written) | cmp - {NUMBERS} && sudo rm {NUMBERS} /var/kolea-written"
        ))
        .await?;
    Ok(())
}

/// Root and boot file system are on a map that has so many good paths, and its configuration is there.
async fn is_on_the_map(context: &TestContext, count: usize) -> TestResult {
    for place in ["/", "/boot"] {
        is_below(context, place).await?;
    }
    context.check_ok("test -f /etc/multipath.conf").await?;
    paths(context, PRIMARY_DISK, count).await?;
    active_paths(context, "", count).await
}
