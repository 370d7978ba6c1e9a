#!/bin/bash
## kola:
##   description: The kernel has the arguments that were asked for in every boot, and those for the first boot in none but that.
##   appendKernelArgs: kolea.every=boot
##   appendFirstbootKernelArgs: kolea.first=boot
##   platforms: qemu

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

read -r command_line </proc/cmdline
echo "$command_line"
words=" $command_line "

# check WORD COUNT
check() {
  local rest=${words//" $1 "/}
  assert_eq "how often $1 is on the kernel's command line" "$(((${#words} - ${#rest}) / (${#1} + 2)))" "$2"
}

check kolea.every=boot 1
case ${AUTOPKGTEST_REBOOT_MARK-} in
  '')
    check kolea.first=boot 1
    check ignition.firstboot 1
    wait_for_boot
    exec /tmp/autopkgtest-reboot again
    ;;
  again)
    check kolea.first=boot 0
    check ignition.firstboot 0
    ;;
  *) fatal "unknown mark '$AUTOPKGTEST_REBOOT_MARK'" ;;
esac
