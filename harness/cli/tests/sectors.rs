//! An image that was made for sectors of 4096 bytes: it boots from UEFI with `--qemu-native-4k`.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::{fixture_4k, write_test};

const INSIDE: &str = r#"set -euo pipefail
[[ -d /sys/firmware/efi ]]
disk=$(readlink --canonicalize /dev/disk/by-id/virtio-primary-disk)
[[ $(lsblk --nodeps --noheadings --raw --bytes --output SIZE,PHY-SEC,LOG-SEC "$disk") == "$((6 << 30)) 4096 4096" ]]
[[ $(findmnt --noheadings --output SOURCE /) == "$disk"4 ]]
# The root file system has grown with the disk.
(($(df --output=size --block-size=1M / | tail -n 1) > 5 * 1024))"#;

#[test]
fn an_image_for_sectors_of_4096_bytes_boots() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("sectors");
    write_test(&tree, "inside", "## kola:\n##   exclusive: true", INSIDE);
    let arguments = ["--qemu-native-4k", "--qemu-size", "6G", "ext.*", "basic"];
    let mut run = LiveRun::start_on(&fixture_4k(), &tree, &arguments);
    run.passes();
}
