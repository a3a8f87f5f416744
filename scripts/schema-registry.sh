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
readonly START_SECONDS=120
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

url() { printf 'http://127.0.0.1:%s/%s\n' "$(cat "$1/port")" "$API"; }

# GET, and the status line of the answer.
answers() { # DIR
  local line
  line=$({
    exec 3<> "/dev/tcp/127.0.0.1/$(cat "$1/port")" && printf 'GET /%s/subjects HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' "$API" >&3 &&
      timeout 5 head -n 1 <&3
  } 2> /dev/null) || return 1
  [[ $line == HTTP/1.?\ 200* ]]
}

start() { # DIR
  local registry
  registry=$(fetch) || return
  mkdir -p "$1"
  [ -e "$1/port" ] || free_port > "$1/port"
  if ! process_of "$1/pid" "-Danabranch.directory=$1" > /dev/null; then
    start_process "$1/pid" "$1/log" java -Danabranch.directory="$1" -Xms64m -Xmx256m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 \
      -Dquarkus.http.host=127.0.0.1 -Dquarkus.http.port="$(cat "$1/port")" -jar "$registry"/*-runner.jar
  fi
  if ! wait_for_process $START_SECONDS "$1/pid" "-Danabranch.directory=$1" answers "$1"; then
    tail -n 20 "$1/log" >&2
    say "the registry in \"$1\" did not start (its log is above)"
    return 1
  fi
  url "$1"
}

end() { # SIGNAL DIR
  [ -e "$2/port" ] || { say "there is no registry in \"$2\""; return 1; }
  end_process "$1" "$2/pid" "-Danabranch.directory=$2" || end_process KILL "$2/pid" "-Danabranch.directory=$2"
}

status() { # DIR
  local pid
  [ -e "$1/port" ] || { say "there is no registry in \"$1\""; return 1; }
  if pid=$(process_of "$1/pid" "-Danabranch.directory=$1"); then
    printf 'state=%s pid=%s url=%s\n' "$(answers "$1" && echo running || echo silent)" "$pid" "$(url "$1")"
  else
    printf 'state=stopped url=%s\n' "$(url "$1")"
    return 3
  fi
}

command=${1:-}
[ "$command" = fetch ] || [ -n "${2:-}" ] || usage
directory=$(readlink -m "${2:-.}")
case $command in
  fetch) fetch ;;
  start|status) "$command" "$directory" ;;
  stop) end TERM "$directory" ;;
  kill) end KILL "$directory" ;;
  destroy) [ ! -e "$directory/port" ] || { end KILL "$directory"; rm -rf "$directory"; } ;;
  *) usage ;;
esac
