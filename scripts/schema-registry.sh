#!/usr/bin/env bash
# A private schema registry that speaks Confluent's REST API, for tests and to try the formats that need one:
#
#   scripts/schema-registry.sh fetch           its files (scripts/schema-registry-jars.txt), once
#   scripts/schema-registry.sh start DIR       starts it on a free port of 127.0.0.1, or again on the one it had; waits
#                                              until it answers; prints its URL, as clients want it
#   scripts/schema-registry.sh stop|kill|destroy DIR     destroy: kills it and removes DIR
#   scripts/schema-registry.sh status DIR      "state=running pid=42 url=..."; exit code 0 when it runs, else 3
#
# It keeps schemas in memory: a registry that was stopped starts empty, and numbers from 1 again.
# Exit codes: as of scripts/kafka.sh; 69: cannot be had here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/background.sh
source "$here/background.sh"
readonly SERVER=registry ADDRESS=url START_SECONDS=120
readonly API=apis/ccompat/v7

say() { printf 'schema-registry.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,11s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# The directory that it is unpacked in, beside the archive.
fetch() {
  local jars partial
  jars=$("$here/fetch-jars.sh" "$here/schema-registry-jars.txt") || return
  if [ ! -d "$jars.unpacked" ]; then
    partial=$(mktemp -d "$jars.unpacked.XXXXXX")
    tar -xzf "$jars"/*.tar.gz -C "$partial"
    # Another caller may have been faster.
    mv -T "$partial" "$jars.unpacked" 2> /dev/null || rm -rf "$partial"
  fi
  printf '%s\n' "$jars.unpacked"
}

exists() { [ -e "$1/port" ]; }
argument() { printf '%s\n' "-Danabranch.directory=$1"; }
address() { printf 'http://127.0.0.1:%s/%s\n' "$(cat "$1/port")" "$API"; }

answers() { http_answers "$(cat "$1/port")" 5 "/$API/subjects"; } # DIR

start() { # DIR
  local registry
  registry=$(fetch) || return
  mkdir -p "$1"
  [ -e "$1/port" ] || free_port > "$1/port"
  server_start "$1" start_process "$1/pid" "$1/log" java "$(argument "$1")" -Xms64m -Xmx256m -XX:+UseSerialGC \
    -XX:TieredStopAtLevel=1 -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$(cat "$1/port")" -jar "$registry"/*-runner.jar
}

[ "${1:-}" != fetch ] || { fetch; exit; }
server_command "$@"
