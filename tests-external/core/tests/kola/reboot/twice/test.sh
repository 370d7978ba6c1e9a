#!/bin/bash
## kola:
##   description: A test reboots twice, finds its marks, its files and the same machine id, and nothing else.
##   timeoutMin: 20

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

readonly second='second, with "quotes" and  spaces'
readonly log=/var/kolea-reboot-twice

read_boot_id
read -r machine_id </etc/machine-id

# Ends the boot: notes it in the log and leaves a flag that must not survive.
next_boot() {
  wait_for_boot
  echo "$boot_id $machine_id" >>"$log"
  : >/run/kolea-reboot-twice
  exec /tmp/autopkgtest-reboot "$1"
}

# check_boots COUNT: so many boots are in the log, all of them of this machine, and none is this one.
check_boots() {
  [[ ! -e /run/kolea-reboot-twice ]] || fatal 'the content of /run has survived the reboot'
  assert_eq 'the number of boots before this' "$(wc -l <"$log")" "$1"
  while read -r boot machine; do
    assert_eq 'the machine id of an earlier boot' "$machine" "$machine_id"
    [[ $boot != "$boot_id" ]] || fatal "the boot $boot_id has not ended"
  done <"$log"
}

case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    [[ ! -e $log ]] || fatal "the test starts anew, without its mark, after: $(<"$log")"
    next_boot first
    ;;
  first)
    check_boots 1
    next_boot "$second"
    ;;
  "$second") check_boots 2 ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
