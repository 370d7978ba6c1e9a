//! Disks on several paths: the suite `multipath`, whose names are kola's.

pub mod partition;
pub mod root;

use kolea_machine::{TestContext, TestFailure, TestResult};

use crate::guest::{expect, wait_for};

/// Skips the test on images that know nothing of multipath.
async fn has_tools(context: &TestContext) -> TestResult {
    let tools = context
        .ssh("sudo sh -c 'command -v multipath multipathd'")
        .await?;
    match tools.status {
        0 => Ok(()),
        _ => Err(TestFailure::Skipped(
            "the image has no multipath-tools".to_owned(),
        )),
    }
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

/// Waits until multipath has so many good paths to the disk.
async fn active_paths(context: &TestContext, map: &str, count: usize) -> TestResult {
    wait_for(
        context,
        &format!("{count} paths in multipath's map"),
        &format!("[ \"$(sudo multipath -ll {map} | grep -c 'active ready running')\" = {count} ]"),
    )
    .await?;
    context
        .check_ok(&format!("sudo multipath -ll {map}"))
        .await?;
    Ok(())
}

/// Starts what writes numbers to a new file, each of them to the disk before the next, and says how far it is. Told to stop, it
/// finishes the number.
async fn start_writer(context: &TestContext, file: &str) -> TestResult {
    let writer = format!(
        "stop=; trap stop=1 TERM; n=0; while [ -z \"$stop\" ]; do n=$((n + 1)); \
         echo $n >>{file} && sync {file} && echo $n >/run/kolea-written || exit; done"
    );
    context
        .check_ok(&format!(
            "echo '{writer}' | sudo tee /run/kolea-writer >/dev/null && \
             sudo systemd-run --quiet --unit=kolea-writer --property=KillMode=process sh /run/kolea-writer"
        ))
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

/// Ends the writer. Nothing that it has written may be missing, after a command that forgets what is in memory.
async fn stop_writer(context: &TestContext, file: &str, forget: &str) -> TestResult {
    // systemctl waits for the end.
    let seen = context
        .check_ok(&format!(
            "sudo systemctl stop kolea-writer && {forget} && written=$(cat /run/kolea-written) && seq $written | cmp - {file} && \
             systemctl show --property Result --value kolea-writer"
        ))
        .await?;
    expect(
        seen == "success",
        format!("what wrote to the disk ended with {seen}"),
    )
}

/// Starts multipath on an image that does not by itself, and waits for the only map.
pub async fn start(context: &TestContext, map: &str) -> TestResult {
    has_tools(context).await?;
    // Red Hat's tools write a configuration, others have to be given one.
    let configure = "sudo mpathconf --enable --user_friendly_names y 2>/dev/null || \
                     printf 'defaults {\\n user_friendly_names yes\\n find_multipaths yes\\n}\\n' | sudo tee /etc/multipath.conf >/dev/null";
    context
        .check_ok(&format!(
            "{{ {configure}; }} && sudo systemctl restart multipathd"
        ))
        .await?;
    wait_for(context, map, &format!("test -b {map}")).await
}

/// Fails unless what is mounted there is on multipath's map of a disk.
pub async fn is_below(context: &TestContext, place: &str) -> TestResult {
    expect(
        mapped(context, place).await?,
        format!("{place} is not on multipath's map of a disk"),
    )
}

/// Whether multipath is below what is mounted there.
async fn mapped(context: &TestContext, place: &str) -> Result<bool, TestFailure> {
    // Where `/` is an overlay of a real root file system, as with ostree, /sysroot is that.
    let source = "findmnt --noheadings --nofsroot --output SOURCE";
    let real = match place {
        "/" => format!("$({source} /sysroot || {source} /)"),
        _ => format!("$({source} {place})"),
    };
    let types = context
        .check_ok(&format!(
            "lsblk --inverse --noheadings --raw --output TYPE,NAME \"{real}\""
        ))
        .await?;
    Ok(types.lines().any(|line| line.starts_with("mpath ")))
}
