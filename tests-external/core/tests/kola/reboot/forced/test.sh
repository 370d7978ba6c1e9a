#!/bin/bash
## kola:
##   description: A test announces a reboot and then cuts the machine off by itself, without stopping anything.
##   timeoutMin: 15

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

read_boot_id
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    # Otherwise the next boot would be the first once more.
    wait_for_boot
    echo "$boot_id" >/var/kolea-reboot-forced
    : >/run/kolea-reboot-forced
    /tmp/autopkgtest-reboot-prepare forced
    sync
    exec reboot -ff
    ;;
  forced)
    [[ ! -e /run/kolea-reboot-forced ]] || fatal 'the content of /run has survived the reboot'
    before=$(</var/kolea-reboot-forced)
    [[ $before && $before != "$boot_id" ]] || fatal "the boot before this was '$before', and this is '$boot_id'"
    ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
