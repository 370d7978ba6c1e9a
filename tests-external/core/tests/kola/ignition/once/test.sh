#!/bin/bash
## kola:
##   description: Ignition runs at the first boot, and at no other.
##   timeoutMin: 15

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

# How often a file of this test was written in this boot, by Ignition's own account.
count_writes() {
  journalctl --boot --identifier=ignition --output=cat |
    grep -c 'finished.*writing file "/sysroot/etc/kolea-once/kept"' || true
}

wait_for_boot
cmdline=$(</proc/cmdline)
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    [[ $cmdline == *ignition.firstboot* ]] || fatal "this is the first boot, and the kernel was not told so: $cmdline"
    assert_eq 'how often Ignition wrote a file' "$(count_writes)" 1
    assert_eq 'what Ignition wrote' "$(</etc/kolea-once/kept)" 'from Ignition'
    [[ ! -e /boot/ignition.firstboot ]] || fatal 'the stamp /boot/ignition.firstboot is still there'
    echo 'changed by the test' >/etc/kolea-once/kept
    rm /etc/kolea-once/removed
    exec /tmp/autopkgtest-reboot again
    ;;
  again)
    [[ $cmdline != *ignition.firstboot* ]] || fatal 'Ignition was asked for again'
    assert_eq 'how often Ignition wrote a file at the second boot' "$(count_writes)" 0
    assert_eq 'a file that was changed' "$(</etc/kolea-once/kept)" 'changed by the test'
    [[ ! -e /etc/kolea-once/removed ]] || fatal 'a file that was removed is there again'
    ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
