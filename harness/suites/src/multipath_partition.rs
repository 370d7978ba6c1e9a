//! `multipath.partition`: a disk on two paths is one disk to multipath, what is written to a file system on it survives the loss of a
//! path, and so does a machine that has its system on such a disk.

use kolea_machine::{NativeTest, PRIMARY_DISK, TestContext, TestFailure, TestResult};
use kolea_model::{DiskSpec, MachineNeeds};

use crate::guest::{expect, root_disks, wait_for};

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

/// Writes numbers, each of them to the disk before the next, and says how far it is.
const WRITER: &str = "\
n=0
while [ ! -e /run/kolea-stop ]; do
  n=$((n + 1))
  echo $n >>/run/kolea-multipath/numbers && sync /run/kolea-multipath/numbers && echo $n >/run/kolea-written || exit
done";

async fn run(context: TestContext) -> TestResult {
    let tools = context
        .ssh("sudo sh -c 'command -v multipath multipathd'")
        .await?;
    if tools.status != 0 {
        let reason = "the image has no multipath-tools";
        return Err(TestFailure::Skipped(reason.to_owned()));
    }
    paths(&context, "disk1", 2).await?;
    paths(&context, PRIMARY_DISK, 2).await?;
    the_additional_disk_loses_a_path(&context).await?;
    the_system_loses_a_path(&context).await
}

/// The paths to a disk, by its serial number, in the order of their controllers; there have to be so many.
async fn paths(
    context: &TestContext,
    serial: &str,
    count: usize,
) -> Result<Vec<String>, TestFailure> {
    let paths = context
        .check_ok(&format!(
            "lsblk --nodeps --noheadings --raw --output HCTL,NAME,SERIAL | sort --version-sort | \
             while read -r place name its; do if [ \"$its\" = {serial} ]; then echo $name; fi; done"
        ))
        .await?;
    let paths: Vec<String> = paths.lines().map(str::to_owned).collect();
    expect(
        paths.len() == count,
        format!("{serial} has the paths {paths:?}, not {count} of them"),
    )?;
    Ok(paths)
}

async fn the_additional_disk_loses_a_path(context: &TestContext) -> TestResult {
    let config = CONFIG.replace('\n', "\\n");
    let device = format!("/dev/mapper/{MAP}");
    context
        .check_ok(&format!(
            "printf '{config}' | sudo tee /etc/multipath.conf >/dev/null && sudo systemctl restart multipathd"
        ))
        .await?;
    active_paths(context, 2).await?;
    context
        .check_ok(&format!(
            "sudo mkfs.ext4 -q {device} && sudo mkdir {MOUNT} && sudo mount {device} {MOUNT} && \
             echo '{WRITER}' | sudo tee /run/kolea-writer >/dev/null && \
             sudo systemd-run --quiet --unit=kolea-writer sh /run/kolea-writer"
        ))
        .await?;
    writes_go_on(context).await?;
    context.remove_disk("mpath10").await?;
    active_paths(context, 1).await?;
    paths(context, "disk1", 1).await?;
    writes_go_on(context).await?;
    // As it is on the disk, not in the guest's memory.
    let seen = context
        .check_ok(&format!(
            "sudo touch /run/kolea-stop && while systemctl --quiet is-active kolea-writer; do sleep 0.1; done; \
             sudo umount {MOUNT} && sudo blockdev --flushbufs {device} && sudo mount {device} {MOUNT} && \
             written=$(cat /run/kolea-written) && seq $written | cmp - {MOUNT}/numbers && sudo umount {MOUNT} && \
             systemctl show --property Result --value kolea-writer"
        ))
        .await?;
    expect(
        seen == "success",
        format!("what wrote to the disk ended with {seen}"),
    )
}

/// Waits until multipath has so many good paths to the disk.
async fn active_paths(context: &TestContext, count: usize) -> TestResult {
    wait_for(
        context,
        &format!("{count} paths in multipath's map"),
        &format!("[ \"$(sudo multipath -ll {MAP} | grep -c 'active ready running')\" = {count} ]"),
    )
    .await?;
    context
        .check_ok(&format!("sudo multipath -ll {MAP}"))
        .await?;
    Ok(())
}

async fn writes_go_on(context: &TestContext) -> TestResult {
    wait_for(
        context,
        "writes to the disk",
        "before=$(cat /run/kolea-written 2>/dev/null || echo 0); sleep 1; [ \"$(cat /run/kolea-written)\" -gt \"$before\" ]",
    )
    .await
}

/// The system goes on by the path that is left.
async fn the_system_loses_a_path(context: &TestContext) -> TestResult {
    let paths = paths(context, PRIMARY_DISK, 2).await?;
    let used = root_disks(context).await?;
    let Some(spare) = paths.iter().position(|path| !used.contains(path)) else {
        return Err(TestFailure::Skipped(
            "the image has its system on both paths of its disk by itself".to_owned(),
        ));
    };
    // What else is mounted by it: /boot, perhaps.
    let path = &paths[spare];
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
    self::paths(context, PRIMARY_DISK, 1).await?;
    context
        .check_ok(
            "echo well | sudo tee /var/kolea-multipath && sync && sudo rm /var/kolea-multipath",
        )
        .await?;
    Ok(())
}
