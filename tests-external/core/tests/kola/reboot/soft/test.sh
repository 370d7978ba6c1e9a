#!/bin/bash
## kola:
##   description: A soft reboot restarts user space only. Skipped where systemd is older than 254.
##   timeoutMin: 15

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

read -r _ version _ <<<"$(systemctl --version)"
version=${version%%[^0-9]*}
((version >= 254)) || skip "systemd is $version, and soft reboots came with 254"

soft_reboots() { systemctl show --value --property=SoftRebootsCount; }

read_boot_id
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    wait_for_boot
    assert_eq 'the number of soft reboots' "$(soft_reboots)" 0
    echo "$boot_id" >/run/kolea-reboot-soft
    exec /tmp/autopkgtest-soft-reboot soft
    ;;
  soft)
    assert_eq 'the number of soft reboots' "$(soft_reboots)" 1
    [[ -e /run/kolea-reboot-soft ]] || fatal 'the content of /run is lost, so the kernel was restarted, too'
    assert_eq 'the boot id' "$boot_id" "$(</run/kolea-reboot-soft)"
    ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
