#!/bin/bash
## kola:
##   description: The machine has the memory that minMemory asks for.
##   minMemory: 1536
##   platforms: qemu

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

mib=0
while read -r key value _; do
  if [[ $key == MemTotal: ]]; then
    mib=$((value / 1024))
  fi
done </proc/meminfo
echo "the kernel has $mib MiB to give"
# Firmware, kernel and a crash kernel keep some of it.
((mib >= 1536 * 3 / 4)) || fatal "the kernel has $mib MiB to give, of 1536"
