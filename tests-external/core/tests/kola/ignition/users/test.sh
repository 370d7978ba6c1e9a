#!/bin/bash
## kola:
##   description: Users and groups from config.ign are there, with ids, shells, homes and keys.
##   exclusive: false

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

# entry DATABASE NAME: its fields, in field.
entry() {
  local line
  line=$(getent "$1" "$2") || fatal "there is no $2 in $1"
  IFS=: read -ra field <<<"$line"
}

entry group koleafolk
assert_eq 'the id of the group' "${field[2]}" 4201
[[ ,${field[3]-}, == *,koleauser,* ]] || fatal "koleauser is not in koleafolk, which has: ${field[3]-}"

entry passwd koleauser
assert_eq 'the id of the user' "${field[2]}" 4202
assert_eq 'the full name' "${field[4]}" 'Kolea User'
assert_eq 'the home' "${field[5]}" /var/koleauser
assert_eq 'the shell' "${field[6]}" /bin/sh
assert_eq 'the owner of the home' "$(stat -c %u /var/koleauser)" 4202
grep -rqs 'AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f' /var/koleauser/.ssh ||
  fatal 'the key is not in the home'

entry passwd koleasystem
((field[2] < 1000)) || fatal "the id of a system user is ${field[2]}"
[[ ! -d ${field[5]} ]] || fatal "the system user has got a home, ${field[5]}"
