#!/usr/bin/env bash
# PGSync, from PyPI, to be measured beside search indexes:
#
#   bench/peers/pgsync.sh fetch      installs it once, in ${XDG_CACHE_HOME:-~/.cache}/anabranch; prints the directory of its programs
#
# It is configured by its environment: bench/documents.py has what it needs. Exit code 69: cannot be had here.
set -euo pipefail

readonly VERSION=7.3.0 EX_UNAVAILABLE=69

[ "${1:-}" = fetch ] || { sed -n '2,6s/^# \{0,1\}//p' "$0" >&2; exit 2; }
directory=${XDG_CACHE_HOME:-${HOME:?neither HOME nor XDG_CACHE_HOME is set}/.cache}/anabranch/pgsync-$VERSION
if [ ! -e "$directory/complete" ]; then
  rm -rf "$directory"
  { python3 -m venv "$directory" && "$directory/bin/pip" install --quiet --disable-pip-version-check "pgsync==$VERSION"; } >&2 ||
    { echo "pgsync.sh: pgsync $VERSION cannot be installed" >&2; exit $EX_UNAVAILABLE; }
  touch "$directory/complete"
fi
printf '%s\n' "$directory/bin"
