#!/usr/bin/env bash
# A private OpenSearch of one node, for tests, benchmarks and the demo:
#
#   scripts/opensearch.sh fetch            its files (scripts/opensearch-jars.txt), once
#   scripts/opensearch.sh start DIR [SETTING=VALUE]...   starts one on a free port of 127.0.0.1, or again the one that is in DIR;
#                                          waits until it answers; prints its URL. SETTING: of opensearch.yml, for a new one, which keeps them
#   scripts/opensearch.sh stop|kill|destroy DIR     destroy: kills it and removes DIR
#   scripts/opensearch.sh status DIR       "state=running pid=42 url=..."; exit code 0 when it runs, else 3
#
# It listens where its runner allows: on 9201 to 9299, at the next free port after the one it had. No security plugin is part of it:
# whoever reaches the port may do anything. Exit codes: as of scripts/kafka.sh; 69: cannot be had here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/background.sh
source "$here/background.sh"
readonly START_SECONDS=180
readonly RUNNER=org.codelibs.opensearch.runner.OpenSearchRunner
# The runner adds the number of the node, 1, to the port that it is given.
readonly HTTP_FIRST=9200 HTTP_LAST=9298

say() { printf 'opensearch.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }

fetch() { "$here/fetch-jars.sh" "$here/opensearch-jars.txt"; }

url() { printf 'http://127.0.0.1:%s\n' "$(cat "$1/port")"; }

# It says itself which port it got.
find_port() { # DIR
  local port
  port=$(sed -n 's/.*AbstractHttpServerTransport\] publish_address {127\.0\.0\.1:\([0-9]*\)}.*/\1/p' "$1/log" | tail -n 1)
  [ -n "$port" ] && printf '%s\n' "$port" > "$1/port"
}

# GET, and the status line of the answer, once a leader is elected.
answers() { # DIR
  local line
  find_port "$1" || return 1
  line=$({
    exec 3<> "/dev/tcp/127.0.0.1/$(cat "$1/port")" && printf 'GET /_cluster/health?wait_for_status=yellow&timeout=5s HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n' >&3 &&
      timeout 10 head -n 1 <&3
  } 2> /dev/null) || return 1
  [[ $line == HTTP/1.?\ 200* ]]
}

# A disk that is nearly full is the machine's affair, and no reason to refuse writes in a test, unless that asks for it.
configure() { # DIR [SETTING=VALUE]...
  local directory=$1 setting
  shift
  mkdir -p "$directory/node_1/config"
  {
    printf '%s\n' 'network.host: 127.0.0.1' "transport.port: $(free_port)" 'discovery.type: single-node'
    [[ " $* " == *" cluster.routing.allocation.disk."* ]] || echo 'cluster.routing.allocation.disk.threshold_enabled: false'
    for setting in "$@"; do printf '%s: %s\n' "${setting%%=*}" "${setting#*=}"; done
  } > "$directory/node_1/config/opensearch.yml"
}

start() { # DIR [SETTING=VALUE]...
  local directory=$1 jars base
  jars=$(fetch) || return
  mkdir -p "$directory"
  if [ ! -e "$directory/node_1/config/opensearch.yml" ]; then
    configure "$@"
  elif [ $# -gt 1 ]; then
    say "there is a node in \"$directory\": settings are for a new one"
    return 2
  fi
  if ! process_of "$directory/pid" "$directory" > /dev/null; then
    # Several may be started at once: each begins to look somewhere else.
    base=$(($(cat "$directory/port" 2> /dev/null || echo $((HTTP_FIRST + 1 + RANDOM % (HTTP_LAST - HTTP_FIRST - 20)))) - 1))
    : > "$directory/log"
    start_process "$directory/pid" "$directory/log" java -Xms256m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -cp "$jars/*" \
      $RUNNER -numOfNode 1 -clusterName anabranch -baseHttpPort "$base" -basePath "$directory" -useLogger
  fi
  if ! wait_for_process $START_SECONDS "$directory/pid" "$directory" answers "$directory"; then
    tail -n 20 "$directory/log" >&2
    say "the node in \"$directory\" did not start (its log is above)"
    return 1
  fi
  url "$directory"
}

end() { # SIGNAL DIR
  [ -e "$2/node_1" ] || { say "there is no node in \"$2\""; return 1; }
  end_process "$1" "$2/pid" "$2" || end_process KILL "$2/pid" "$2"
}

status() { # DIR
  local pid
  [ -e "$1/node_1" ] || { say "there is no node in \"$1\""; return 1; }
  if pid=$(process_of "$1/pid" "$1"); then
    printf 'state=%s pid=%s url=%s\n' "$(answers "$1" && echo running || echo silent)" "$pid" "$(url "$1")"
  else
    printf 'state=stopped url=%s\n' "$(url "$1")"
    return 3
  fi
}

command=${1:-}
[ "$command" = fetch ] || [ -n "${2:-}" ] || usage
directory=$(readlink -m "${2:-.}")
[ $# -lt 2 ] || shift 2
case $command in
  fetch) fetch ;;
  start) start "$directory" "$@" ;;
  status) status "$directory" ;;
  stop) end TERM "$directory" ;;
  kill) end KILL "$directory" ;;
  destroy) [ ! -e "$directory/node_1" ] || { end KILL "$directory"; rm -rf "$directory"; } ;;
  *) usage ;;
esac
