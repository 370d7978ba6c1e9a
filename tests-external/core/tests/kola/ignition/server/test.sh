#!/bin/bash
## kola:
##   description: Ignition fetches a config and files from the machine's own server, over HTTP and HTTPS.
##   platforms: qemu

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

assert_eq 'what was fetched over HTTP' "$(</etc/kolea-plain)" 'fetched over HTTP'
assert_eq 'what was fetched over HTTPS' "$(</etc/kolea-secure)" 'fetched over HTTPS'
