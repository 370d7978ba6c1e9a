//! `multipath.partition`: a disk on two paths is one disk to multipath, what is written to a file system on it survives the loss of a
//! path, and so does a machine that has its system on such a disk.

use kolea_machine::{NativeTest, PRIMARY_DISK, TestContext, TestFailure, TestResult};
use kolea_model::{DiskSpec, MachineNeeds};

use super::{active_paths, has_tools, paths, start_writer, stop_writer, writes_go_on};
use crate::guest::{root_disks, wait_for};

/// The test.
pub const TEST: NativeTest = NativeTest {
    name: "multipath.partition",
    description: "a file system on two paths survives the loss of one while it is written to, and so does the system",
    tags: &[],
    needs: || MachineNeeds {
        primary_disk: Some(DiskSpec {
            multipath: true,
            ..DiskSpec::default()
        }),
        additional_disks: vec![DiskSpec {
            size_gib: Some(1),
            multipath: true,
            wwn: Some(WWN),
            ..DiskSpec::default()
        }],
        ..MachineNeeds::default()
    },
    machines: 1,
    run: |context| Box::pin(run(context)),
};

/// One that a manufacturer could have given, and how multipath calls the disk.
const WWN: u64 = 0x5000_c500_8765_4321;
const MAP: &str = "0x5000c50087654321";
/// The file system on the additional disk.
const MOUNT: &str = "/run/kolea-multipath";
const NUMBERS: &str = "/run/kolea-multipath/numbers";

/// Of the disks with two paths, only the additional one is multipath's business.
const CONFIG: &str = "\
defaults {
  user_friendly_names no
  find_multipaths yes
}
blacklist {
  wwid .*
}
blacklist_exceptions {
  wwid 0x5000c50087654321
}
";

async fn run(context: TestContext) -> TestResult {
    has_tools(&context).await?;
    paths(&context, "disk1", 2).await?;
    paths(&context, PRIMARY_DISK, 2).await?;
    the_additional_disk_loses_a_path(&context).await?;
    the_system_loses_a_path(&context).await
}

async fn the_additional_disk_loses_a_path(context: &TestContext) -> TestResult {
    let config = CONFIG.replace('\n', "\\n");
    let device = format!("/dev/mapper/{MAP}");
    context
        .check_ok(&format!(
            "printf '{config}' | sudo tee /etc/multipath.conf >/dev/null && sudo systemctl restart multipathd"
        ))
        .await?;
    active_paths(context, MAP, 2).await?;
    context
        .check_ok(&format!(
            "sudo mkfs.ext4 -q {device} && sudo mkdir {MOUNT} && sudo mount {device} {MOUNT}"
        ))
        .await?;
    start_writer(context, NUMBERS).await?;
    writes_go_on(context).await?;
    context.remove_disk("mpath10").await?;
    active_paths(context, MAP, 1).await?;
    paths(context, "disk1", 1).await?;
    writes_go_on(context).await?;
    // As it is on the disk, not in the guest's memory.
    let again = format!(
        "sudo umount {MOUNT} && sudo blockdev --flushbufs {device} && sudo mount {device} {MOUNT}"
    );
    stop_writer(context, NUMBERS, &again).await?;
    context.check_ok(&format!("sudo umount {MOUNT}")).await?;
    Ok(())
}

/// The system goes on by the path that is left.
async fn the_system_loses_a_path(context: &TestContext) -> TestResult {
    let both = paths(context, PRIMARY_DISK, 2).await?;
    let used = root_disks(context).await?;
    let Some(spare) = both.iter().position(|path| !used.contains(path)) else {
        return Err(TestFailure::Skipped(
            "the image has its system on both paths of its disk by itself".to_owned(),
        ));
    };
    // What else is mounted by it: /boot, perhaps.
    let path = &both[spare];
    context
        .check_ok(&format!(
            "findmnt --list --noheadings --output TARGET,SOURCE | while read -r target source; do \
             case $source in /dev/{path}*) sudo umount $target || exit;; esac; done"
        ))
        .await?;
    context.remove_disk(&format!("mpath2{spare}")).await?;
    wait_for(
        context,
        &format!("{path} to go away"),
        &format!("! test -e /sys/block/{path}"),
    )
    .await?;
    paths(context, PRIMARY_DISK, 1).await?;
    context
        .check_ok(
            "echo well | sudo tee /var/kolea-multipath && sync && sudo rm /var/kolea-multipath",
        )
        .await?;
    Ok(())
}
