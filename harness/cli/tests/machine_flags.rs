//! What flags make of every machine, as it is seen inside one: in one boot, since none of that can be cloned.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use support::live::LiveRun;
use support::write_test;

const INSIDE: &str = r#"set -euo pipefail
lsblk --output NAME,HCTL,SERIAL,SIZE,PHY-SEC,LOG-SEC
mapfile -t paths < <(lsblk --nodeps --noheadings --raw --output NAME,SERIAL | sed -n 's/ primary-disk$//p')
[[ ${#paths[@]} == 2 ]]
for path in "${paths[@]}"; do
  [[ $(lsblk --nodeps --noheadings --raw --bytes --output SIZE,PHY-SEC,LOG-SEC "/dev/$path") == "$((6 << 30)) 4096 512" ]]
done
# The root file system has grown with the disk.
(($(df --output=size --block-size=1M / | tail -n 1) > 5 * 1024))"#;

#[test]
fn flags_change_every_machine() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("flags");
    write_test(&tree, "inside", "## kola:\n##   exclusive: true", INSIDE);
    let flags = ["--qemu-multipath", "--qemu-512e", "--qemu-size", "6G"];
    let mut run = LiveRun::start(&tree, &[&flags[..], &["ext.*"]].concat());
    run.passes();
    let why = &run.origin_of("ext.flags.inside")["boot"]["why"];
    assert!(why.as_str().unwrap().contains("several paths"), "{why}");
}
