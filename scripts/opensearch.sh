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
# whoever reaches the port may do anything. The heap is 384 MB and Java compiles quickly, not well: OPENSEARCH_JAVA_OPTIONS for
# others. Exit codes: as of scripts/kafka.sh; 69: cannot be had here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/background.sh
source "$here/background.sh"
readonly SERVER=node ADDRESS=url START_SECONDS=180
# Small and soon there; OPENSEARCH_JAVA_OPTIONS, which come later, win.
readonly OPENSEARCH_JAVA_DEFAULTS='-Xms256m -Xmx384m -XX:+UseSerialGC -XX:TieredStopAtLevel=1'
readonly RUNNER=org.codelibs.opensearch.runner.OpenSearchRunner
# The runner adds the number of the node, 1, to the port that it is given.
readonly HTTP_FIRST=9200 HTTP_LAST=9298

say() { printf 'opensearch.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,12s/^# \{0,1\}//p' "$0" >&2; exit 2; }

fetch() { "$here/fetch-jars.sh" "$here/opensearch-jars.txt"; }

exists() { [ -e "$1/node_1" ]; }
argument() { printf '%s\n' "$1"; }
address() { printf 'http://127.0.0.1:%s\n' "$(cat "$1/port")"; }

# It says itself which port it got.
find_port() { # DIR
  local port
  port=$(sed -n 's/.*AbstractHttpServerTransport\] publish_address {127\.0\.0\.1:\([0-9]*\)}.*/\1/p' "$1/log" | tail -n 1)
  [ -n "$port" ] && printf '%s\n' "$port" > "$1/port"
}

# Once a leader is elected.
answers() { # DIR
  find_port "$1" || return 1
  http_answers "$(cat "$1/port")" 10 '/_cluster/health?wait_for_status=yellow&timeout=5s'
}

# A disk that is nearly full is the machine's affair, and no reason to refuse writes in a test, unless that asks for it. Nor is
# garbage, which the serial collector leaves lying and the breaker takes for memory in use.
configure() { # DIR [SETTING=VALUE]...
  local directory=$1 setting
  shift
  mkdir -p "$directory/node_1/config"
  {
    printf '%s\n' 'network.host: 127.0.0.1' "transport.port: $(free_port)" 'discovery.type: single-node' \
      'indices.breaker.total.use_real_memory: false'
    [[ " $* " == *" cluster.routing.allocation.disk."* ]] || echo 'cluster.routing.allocation.disk.threshold_enabled: false'
    for setting in "$@"; do printf '%s: %s\n' "${setting%%=*}" "${setting#*=}"; done
  } > "$directory/node_1/config/opensearch.yml"
}

# Several may be started at once: each begins to look for a port somewhere else.
launch() { # DIR JARS
  local base
  base=$(($(cat "$1/port" 2> /dev/null || echo $((HTTP_FIRST + 1 + RANDOM % (HTTP_LAST - HTTP_FIRST - 20)))) - 1))
  : > "$1/log"
  # shellcheck disable=SC2086  # options are words
  start_process "$1/pid" "$1/log" java $OPENSEARCH_JAVA_DEFAULTS ${OPENSEARCH_JAVA_OPTIONS:-} -cp "$2/*" \
    $RUNNER -numOfNode 1 -clusterName anabranch -baseHttpPort "$base" -basePath "$1" -useLogger
}

start() { # DIR [SETTING=VALUE]...
  local directory=$1 jars
  jars=$(fetch) || return
  mkdir -p "$directory"
  server_configure "$directory/node_1/config/opensearch.yml" "$@"
  server_start "$directory" launch "$directory" "$jars"
}

[ "${1:-}" != fetch ] || { fetch; exit; }
server_command "$@"
