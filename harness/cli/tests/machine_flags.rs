//! What flags make of every machine, and a tag of one, as it is seen inside: none of that can be cloned.

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

/// A test whose machine has another firmware than the run's.
const SECURE: &str = r#"set -euo pipefail
# Four bytes of attributes come before the value; the file cannot be sought in.
[[ $(cat /sys/firmware/efi/efivars/SecureBoot-* | tail -c +5 | od -A n -t u1 | tr -d ' ') == 1 ]]"#;

#[test]
fn flags_change_every_machine() {
    let root = tempfile::tempdir().unwrap();
    let tree = root.path().join("flags");
    write_test(&tree, "inside", "## kola:\n##   exclusive: true", INSIDE);
    write_test(&tree, "secure", "## kola:\n##   tags: secure-boot", SECURE);
    let flags = ["--qemu-multipath", "--qemu-512e", "--qemu-size", "6G"];
    let mut run = LiveRun::start(&tree, &[&flags[..], &["ext.*"]].concat());
    run.passes();
    let why = &run.origin_of("ext.flags.inside")["boot"]["why"];
    assert!(why.as_str().unwrap().contains("several paths"), "{why}");
}
