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
readonly START_SECONDS=60

say() { printf 'redis.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,13s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# redis-check-rdb is the same program: what it does is told by the name it is called by.
program() {
  command -v redis-server || command -v redis-check-rdb || { say "there is no Redis: apt-get install redis-tools"; exit $EX_UNAVAILABLE; }
}

address() { printf '127.0.0.1:%s\n' "$(cat "$1/port")"; }

# Any answer at all, "no password was given" too, but for "still loading".
answers() { # DIR
  local line
  line=$({
    exec 3<> "/dev/tcp/127.0.0.1/$(cat "$1/port")" && printf 'PING\r\n' >&3 && timeout 5 head -n 1 <&3
  } 2> /dev/null) || return 1
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
  if [ ! -e "$directory/redis.conf" ]; then
    configure "$@"
  elif [ $# -gt 1 ]; then
    say "there is a server in \"$directory\": settings are for a new one"
    return 2
  fi
  if ! process_of "$directory/pid" "$directory/redis.conf" > /dev/null; then
    start_process "$directory/pid" "$directory/log" bash -c 'exec -a redis-server "$@"' redis "$redis" "$directory/redis.conf"
  fi
  if ! wait_for_process $START_SECONDS "$directory/pid" "$directory/redis.conf" answers "$directory"; then
    tail -n 20 "$directory/log" >&2
    say "the server in \"$directory\" did not start (its log is above)"
    return 1
  fi
  address "$directory"
}

end() { # SIGNAL DIR
  [ -e "$2/port" ] || { say "there is no server in \"$2\""; return 1; }
  end_process "$1" "$2/pid" "$2/redis.conf" || end_process KILL "$2/pid" "$2/redis.conf"
}

status() { # DIR
  local pid
  [ -e "$1/port" ] || { say "there is no server in \"$1\""; return 1; }
  if pid=$(process_of "$1/pid" "$1/redis.conf"); then
    printf 'state=%s pid=%s address=%s\n' "$(answers "$1" && echo running || echo silent)" "$pid" "$(address "$1")"
  else
    printf 'state=stopped address=%s\n' "$(address "$1")"
    return 3
  fi
}

command=${1:-}
[ -n "${2:-}" ] || usage
directory=$(readlink -m "$2")
shift 2
case $command in
  start) start "$directory" "$@" ;;
  status) status "$directory" ;;
  stop) end TERM "$directory" ;;
  kill) end KILL "$directory" ;;
  destroy) [ ! -e "$directory/port" ] || { end KILL "$directory"; rm -rf "$directory"; } ;;
  *) usage ;;
esac
