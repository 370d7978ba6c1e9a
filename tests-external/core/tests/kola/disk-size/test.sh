#!/bin/bash
## kola:
##   description: The primary disk has the size that minDisk asks for, and the file system of /var has grown to it.
##   minDisk: 12
##   platforms: qemu

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

disk=$(readlink -f /dev/disk/by-id/virtio-primary-disk)
# In sectors of 512 bytes, whatever the disk's own are.
read -r sectors <"/sys/class/block/${disk##*/}/size"
mib=$((sectors / 2048))
echo "the disk has $mib MiB"
((mib >= 12 * 1024)) || fatal "the disk has $mib MiB and should have $((12 * 1024))"

# Images grow at their first boot, each in its own way.
wait_for_boot
mib=$(($(stat --file-system --format='%b * %S' /var) / 1024 / 1024))
echo "the file system of /var has $mib MiB"
((mib >= 10 * 1024)) || fatal "the file system of /var has only $mib MiB"
