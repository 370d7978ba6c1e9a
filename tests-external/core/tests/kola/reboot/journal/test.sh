#!/bin/bash
## kola:
##   description: The journal of a boot can be read in the next.
##   timeoutMin: 15

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    wait_for_boot
    logger --tag kolea-journal 'written before the reboot'
    exec /tmp/autopkgtest-reboot again
    ;;
  again)
    boots=$(journalctl --list-boots --quiet | grep -cE '^ *-?[0-9]+ ')
    ((boots >= 2)) || fatal "the journal knows $boots boots and should know 2"
    line=$(journalctl --boot=-1 --identifier=kolea-journal --output=cat)
    assert_eq 'what was logged before the reboot' "$line" 'written before the reboot'
    [[ -z $(journalctl --boot=0 --identifier=kolea-journal --output=cat) ]] ||
      fatal 'the line of the earlier boot is in this one'
    ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
