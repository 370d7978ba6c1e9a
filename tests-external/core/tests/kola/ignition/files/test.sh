#!/bin/bash
## kola:
##   description: Files, directories and links from config.ign are there, with contents, owners and modes.
##   exclusive: false

set -euo pipefail
# shellcheck source=data/commonlib.sh
. "$KOLA_EXT_DATA/commonlib.sh"

cd /etc/kolea/files
assert_eq 'a plain file' "$(<plain)" 'plain text'
assert_eq 'a file from base64' "$(od -An -tx1 base64)" ' 00 01 02 ff'
assert_eq 'a file that was compressed' "$(<gzip)" 'was compressed'
assert_eq 'a file with a checksum' "$(<verified)" verified
assert_eq 'a file in parts' "$(<appended)" $'one\ntwo'
assert_eq 'a file in new directories' "$(</var/kolea/files/deep/er/file)" deep
assert_eq 'the output of an executable' "$(kolea-files)" 'it runs'
assert_eq 'the target of a symlink' "$(readlink symlink)" plain
[[ hardlink -ef plain && ! -L hardlink ]] || fatal 'hardlink and plain are not the same file'

# By number: the names differ between distributions.
modes=$(stat -c '%n %u:%g %a' directory plain base64 owned /var/kolea/files/deep /usr/local/bin/kolea-files)
assert_eq 'owners and modes' "$modes" 'directory 0:1 750
plain 0:0 644
base64 0:0 600
owned 2:1 640
/var/kolea/files/deep 0:0 755
/usr/local/bin/kolea-files 0:0 755'
