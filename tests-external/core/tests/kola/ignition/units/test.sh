#!/bin/bash
## kola:
##   description: Units and drop-ins from config.ign are there, enabled, disabled or masked, and have run.
##   exclusive: false

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

wait_for_boot
[[ -f /run/kolea-enabled ]] || fatal 'the enabled unit has not run'
assert_eq 'what the drop-in sets' "$(</run/kolea-enabled)" dropped
[[ -f /run/kolea-before ]] || fatal 'the unit that multi-user.target requires has not run'
[[ ! -e /run/kolea-disabled ]] || fatal 'the disabled unit has run'

states=$(systemctl is-enabled kolea-enabled kolea-disabled kolea-masked 2>/dev/null) || true
assert_eq 'the states' "$states" $'enabled\ndisabled\nmasked'
assert_eq 'the enabled unit' "$(systemctl is-active kolea-enabled)" active
