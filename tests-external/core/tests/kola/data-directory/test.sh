#!/bin/bash
## kola:
##   description: The data directory arrives whole, with modes and odd names, and its symlinks as files.
##   exclusive: false

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

cd "$KOLA_EXT_DATA"
assert_eq 'a file in nested directories' "$(<nested/deep/file)" nested
assert_eq 'a file with an odd name' "$(<"odd name; \$x"$'\xc3\xa9')" odd
[[ -f commonlib.sh && ! -L commonlib.sh ]] || fatal 'the symlink commonlib.sh did not arrive as a file'
[[ -d linked && ! -L linked ]] || fatal 'the symlink linked did not arrive as a directory'
assert_eq 'a file in a symlinked directory' "$(<linked/file)" nested
assert_eq 'the output of an executable' "$(./executable)" 'it runs'
[[ ! -x nested/deep/file ]] || fatal 'a file that is not executable arrived as one that is'
[[ -f empty && ! -s empty ]] || fatal 'the empty file is not there, or not empty'
[[ -f .hidden ]] || fatal 'the hidden file is not there'
echo "$(<bytes.sha256)  bytes" | sha256sum --check --quiet || fatal 'the binary file arrived changed'
