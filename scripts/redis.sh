#!/usr/bin/env bash
# A private Redis server, for tests, benchmarks and the demo:
#
#   scripts/redis.sh start DIR [SETTING=VALUE]...   starts one on a free port of 127.0.0.1, or again the one that is in DIR, on
#                                          the port it had; waits until it answers; prints its address, "127.0.0.1:PORT".
#                                          SETTING: of redis.conf, over those below; for a new one, which keeps them
#   scripts/redis.sh stop|kill|destroy DIR     stop: with what it has on disk; kill: kill -9; destroy: kills it and removes DIR
#   scripts/redis.sh status DIR            "state=running pid=42 address=..."; exit code 0 when it runs, else 3
#
# What it has acknowledged is in its append-only file, written before each answer and never flushed: a kill loses nothing. The program is Debian's (package redis-tools, which
# installs no service). Exit codes: as of scripts/kafka.sh; 69: cannot be had here.
set -euo pipefail
export LC_ALL=C

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/background.sh
source "$here/background.sh"
readonly EX_UNAVAILABLE=69
readonly SERVER=server ADDRESS=address START_SECONDS=60

say() { printf 'redis.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# redis-check-rdb is the same program: what it does is told by the name it is called by.
program() {
  command -v redis-server || command -v redis-check-rdb || { say "there is no Redis: apt-get install redis-tools"; exit $EX_UNAVAILABLE; }
}

exists() { [ -e "$1/port" ]; }
argument() { printf '%s\n' "$1/redis.conf"; }
address() { printf '127.0.0.1:%s\n' "$(cat "$1/port")"; }

# Any answer at all, "no password was given" too, but for "still loading".
answers() { # DIR
  local line
  line=$(first_line "$(cat "$1/port")" 5 $'PING\r\n') || return 1
  [[ $line == [+-]* && $line != -LOADING* ]]
}

quoted() { printf '"%s"' "$(sed 's/["\\]/\\&/g' <<< "$1")"; } # VALUE

configure() { # DIR [SETTING=VALUE]...
  local directory=$1 setting
  shift
  {
    printf '%s\n' 'bind 127.0.0.1' "port $(cat "$directory/port")" "dir $(quoted "$directory")" 'daemonize no' 'set-proc-title no' 'save ""' \
      'appendonly yes' 'appendfsync no'
    for setting in "$@"; do printf '%s %s\n' "${setting%%=*}" "$(quoted "${setting#*=}")"; done
  } > "$directory/redis.conf"
}

start() { # DIR [SETTING=VALUE]...
  local directory=$1 redis
  redis=$(program)
  mkdir -p "$directory"
  [ -e "$directory/port" ] || free_port > "$directory/port"
  server_configure "$directory/redis.conf" "$@"
  server_start "$directory" start_process "$directory/pid" "$directory/log" \
    bash -c 'exec -a redis-server "$@"' redis "$redis" "$directory/redis.conf"
}

server_command "$@"
