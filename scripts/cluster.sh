#!/usr/bin/env bash
# Private PostgreSQL servers for tests, demo and benchmarks. Sourced, it defines the functions below; run, it is the
# command line of the same functions:
#
#   scripts/cluster.sh private_directory             makes and prints a directory that the server's user can read
#   scripts/cluster.sh private_server DIR            copies the server into DIR; prints the copy's pg_config
#   scripts/cluster.sh create DIR/NAME [setting=value]...   a cluster of that copy, started
#   scripts/cluster.sh clone DIR/NAME DIR/OTHER      the same system once more, as it is now: without its slots; started
#   scripts/cluster.sh copy DIR/NAME DIR/OTHER       the same once more, by its files, with its slots: of one that is stopped; started
#   scripts/cluster.sh standby DIR/NAME DIR/OTHER    a standby of it that streams from it; started
#   scripts/cluster.sh promote DIR/OTHER             makes a standby a primary
#   scripts/cluster.sh start|stop|kill|destroy DIR/NAME     kill: kill -9 of every process of it
#   scripts/cluster.sh socket DIR/NAME               the directory to give as PGHOST; the port is 5432, the user postgres
#   scripts/cluster.sh remove DIR                    destroys every cluster in DIR, then DIR
#
# The copy is PostgreSQL's own relocation: server, libraries and shared files under DIR with the same relative paths, so
# that `make install` with its pg_config needs no root and leaves the machine's own PostgreSQL as it is. A cluster
# listens on a socket inside DIR only. The server refuses to run as root: then it runs as the user postgres (or nobody).
set -euo pipefail

readonly CLUSTER_START_SECONDS=60

# The user that server processes run as.
server_user() {
  if [ "$(id -u)" != 0 ]; then id -un; elif id postgres >/dev/null 2>&1; then echo postgres; else echo nobody; fi
}

as_server() { # COMMAND...   in a directory that this user can read, too
  if [ "$(id -u)" = 0 ]; then (cd / && runuser -u "$(server_user)" -- "$@"); else (cd / && "$@"); fi
}

# Below TMPDIR when the server's user can get there and a socket's path fits (107 bytes), else below /tmp.
private_directory() {
  local base directory
  for base in "${TMPDIR:-/tmp}" /tmp; do
    [ "${#base}" -le 50 ] || continue
    directory=$(mktemp -d "$base/anabranch.XXXXXX") || continue
    chmod 755 "$directory"
    if as_server test -r "$directory"; then readlink -f "$directory"; return; fi
    rmdir "$directory"
  done
  echo "cluster.sh: no directory that user \"$(server_user)\" can read" >&2
  return 1
}

private_server() { # DIR
  local directory=$1 pg_config=${PG_CONFIG:-pg_config} part path
  for part in bindir pkglibdir sharedir; do
    path=$("$pg_config" --$part)
    [ -d "$directory$path" ] && continue  # one prefix may hold them all
    mkdir -p "$directory${path%/*}"
    cp -a "$path" "$directory${path%/*}/"
  done
  path=$("$pg_config" --includedir)
  if [ ! -e "$directory$path" ]; then mkdir -p "$directory${path%/*}"; ln -s "$path" "$directory$path"; fi
  printf '%s\n' "$directory$("$pg_config" --bindir)/pg_config"
}

# The server programs of the copy that a cluster lies in.
cluster_bin() { # DIR/NAME
  local found
  found=$(find "${1%/*}" -path '*/bin/pg_ctl' -print -quit)
  printf '%s\n' "${found%/*}"
}

cluster_socket() { printf '%s\n' "$1/socket"; }

# DIR/fresh: what initdb makes. Once per copy of the server, since it takes longer than all the rest.
fresh_data() { # DIR BIN
  [ ! -d "$1/fresh" ] || return 0
  (
    flock 9  # several clusters may be made at once
    [ ! -d "$1/fresh" ] || exit 0
    mkdir "$1/initdb"
    [ "$(id -u)" != 0 ] || chown "$(server_user)" "$1/initdb"
    as_server "$2/initdb" -N -D "$1/initdb" -U postgres -A trust -E UTF8 --locale=C.UTF-8 > "$1/initdb.log" 2>&1 ||
      { cat "$1/initdb.log" >&2; rm -rf "$1/initdb"; exit 1; }
    mv "$1/initdb" "$1/fresh"
  ) 9> "$1/fresh.lock"
}

cluster_create() { # DIR/NAME [setting=value]...
  local cluster=$1 bin setting unknown=
  shift
  bin=$(cluster_bin "$cluster")
  fresh_data "${cluster%/*}" "$bin"
  mkdir "$cluster" "$cluster/socket"
  cp -a "${cluster%/*}/fresh" "$cluster/data"
  touch "$cluster/log"
  chmod 755 "$cluster/socket"
  [ "$(id -u)" != 0 ] || chown "$(server_user)" "$cluster" "$cluster/socket" "$cluster/log"
  {
    echo "listen_addresses = ''"
    echo "port = 5432"
    echo "unix_socket_directories = '$(cluster_socket "$cluster")'"
    echo "wal_level = logical"
    echo "max_replication_slots = 20"
    echo "max_wal_senders = 20"
    # Known from the minor releases of August 2026 on; an older server does not start with a setting it does not know.
    if [[ $("$bin/postgres" --describe-config) == *output_plugin_libraries* ]]; then
      echo "output_plugin_libraries = 'pgoutput, test_decoding, anabranch_decoder'"
    else
      unknown=output_plugin_libraries
    fi
    for setting in "$@"; do
      [ "${setting%%=*}" != "$unknown" ] || continue
      printf "%s = '%s'\n" "${setting%%=*}" "$(printf '%s' "${setting#*=}" | sed "s/'/''/g")"
    done
  } >> "$cluster/data/postgresql.conf"
  cluster_start "$cluster"
}

cluster_clone() { # DIR/NAME DIR/OTHER [option of pg_basebackup]...
  local cluster=$2 original=$1 bin
  bin=$(cluster_bin "$1")
  mkdir "$cluster" "$cluster/socket" "$cluster/data"
  touch "$cluster/log"
  chmod 755 "$cluster/socket"
  chmod 700 "$cluster/data"
  [ "$(id -u)" != 0 ] || chown "$(server_user)" "$cluster" "$cluster/socket" "$cluster/log" "$cluster/data"
  shift 2
  as_server "$bin/pg_basebackup" -h "$(cluster_socket "$original")" -U postgres -D "$cluster/data" -X stream -c fast "$@"
  echo "unix_socket_directories = '$(cluster_socket "$cluster")'" >> "$cluster/data/postgresql.conf"
  cluster_start "$cluster"
}

cluster_copy() { # DIR/NAME DIR/OTHER
  local cluster=$2
  [ ! -e "$1/data/postmaster.pid" ] || { echo "cluster.sh: the server in \"$1\" is running" >&2; return 1; }
  mkdir "$cluster" "$cluster/socket"
  cp -a "$1/data" "$cluster/data"
  touch "$cluster/log"
  chmod 755 "$cluster/socket"
  [ "$(id -u)" != 0 ] || chown "$(server_user)" "$cluster" "$cluster/socket" "$cluster/log"
  echo "unix_socket_directories = '$(cluster_socket "$cluster")'" >> "$cluster/data/postgresql.conf"
  cluster_start "$cluster"
}

cluster_standby() { # DIR/NAME DIR/OTHER
  cluster_clone "$1" "$2" -R
}

cluster_promote() { # DIR/NAME
  as_server "$(cluster_bin "$1")/pg_ctl" -D "$1/data" -w -t $CLUSTER_START_SECONDS promote > /dev/null
}

cluster_start() { # DIR/NAME
  local bin
  bin=$(cluster_bin "$1")
  as_server "$bin/pg_ctl" -D "$1/data" -w -t $CLUSTER_START_SECONDS -l "$1/log" start > "$1/start.log" 2>&1 ||
    { echo "cluster.sh: the server in \"$1\" did not start:" >&2; tail -n 20 "$1/log" >&2; return 1; }
}

cluster_stop() { # DIR/NAME
  local bin
  bin=$(cluster_bin "$1")
  as_server "$bin/pg_ctl" -D "$1/data" -m fast -w -t 60 stop > /dev/null 2>&1 || cluster_kill "$1"
}

# Every process at once, as a power failure would: the postmaster is halted first, so that it restarts nobody.
cluster_kill() { # DIR/NAME
  local postmaster processes process
  postmaster=$(head -n 1 "$1/data/postmaster.pid" 2>/dev/null) || return 0
  kill -STOP "$postmaster" 2>/dev/null || return 0
  processes="$postmaster $(children_of "$postmaster")"
  # shellcheck disable=SC2086  # a list of numbers
  kill -KILL $processes 2>/dev/null || true
  for process in $processes; do
    for _ in $(seq 200); do
      [ -d "/proc/$process" ] || break
      sleep 0.02
    done
  done
  # Where nobody collects orphans they stay as zombies, and the next postmaster takes the old one for alive.
  if grep -q '^State:.Z' "/proc/$postmaster/status" 2>/dev/null; then rm -f "$1/data/postmaster.pid"; fi
}

children_of() { # PID
  # A process that ends meanwhile must not end us.
  { cat /proc/[0-9]*/stat 2>/dev/null || true; } | sed -n "s/^\([0-9]*\) (.*) . $1 .*/\1/p"
}

cluster_destroy() { # DIR/NAME
  [ -d "$1" ] || return 0
  [ ! -e "$1/data/postmaster.pid" ] || cluster_kill "$1"
  rm -rf "$1"
}

remove() { # DIR   with what scripts/kafka.sh, schema-registry.sh, redis.sh and opensearch.sh have started there
  local data
  for data in "$1"/*/node_1; do
    [ ! -e "$data" ] || "$(dirname "${BASH_SOURCE[0]}")/opensearch.sh" destroy "${data%/node_1}"
  done
  for data in "$1"/*/redis.conf; do
    [ ! -e "$data" ] || "$(dirname "${BASH_SOURCE[0]}")/redis.sh" destroy "${data%/redis.conf}"
  done
  for data in "$1"/*/port; do
    [ ! -e "$data" ] || "$(dirname "${BASH_SOURCE[0]}")/schema-registry.sh" destroy "${data%/port}"
  done
  for data in "$1"/*/cluster.id; do
    [ ! -e "$data" ] || "$(dirname "${BASH_SOURCE[0]}")/kafka.sh" destroy "${data%/cluster.id}"
  done
  for data in "$1"/*/data; do [ ! -d "$data" ] || cluster_destroy "${data%/data}"; done
  rm -rf "$1"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  command=${1:-}
  [ $# -gt 0 ] && shift
  case $command in
    private_directory|private_server|remove) "$command" "$@" ;;
    create|clone|copy|standby|promote|start|stop|kill|destroy|socket) "cluster_$command" "$@" ;;
    *) sed -n '2,19s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
