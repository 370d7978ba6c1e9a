# Helpers for the tests; to be sourced by bash. Nothing here starts a process that a builtin can replace: each one
# costs an emulated guest tens of milliseconds.
# shellcheck shell=bash

# The output is read by people: one line says what is wrong, and the test is over.
fatal() {
  printf 'error: %s\n' "$*" >&2
  exit 1
}

# Exit status 77 is "skipped"; the last line is the reason.
skip() {
  printf '%s\n' "$*"
  exit 77
}

# assert_eq WHAT ACTUAL EXPECTED
assert_eq() {
  [[ $2 == "$3" ]] || fatal "$1 is '$2' and should be '$3'"
}

# assert_mode PATH OWNER:GROUP MODE
assert_mode() {
  assert_eq "owner and mode of $1" "$(stat -c '%U:%G %a' "$1")" "$2 $3"
}

# Until nothing is left to start: what runs once at the end of the first boot has run, too.
wait_for_boot() {
  # It fails where a unit has failed, which other tests look at.
  systemctl is-system-running --wait >/dev/null || true
}

# The id of the current boot, in boot_id.
read_boot_id() {
  # shellcheck disable=SC2034 # the caller's
  read -r boot_id </proc/sys/kernel/random/boot_id
}
