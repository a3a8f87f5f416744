#!/usr/bin/env bash
# Private Apache Kafka brokers for tests, demo and benchmarks, as scripts/cluster.sh makes PostgreSQL servers: a KRaft
# cluster in a directory of its own, on free ports of 127.0.0.1. Sourced, it defines the functions below; run:
#
#   scripts/kafka.sh fetch                     Kafka's jars (scripts/kafka-jars.txt), once; prints their directory
#   scripts/kafka.sh start DIR [--nodes N] [--property NAME=VALUE]... [--listener NAME=PROTOCOL[@PORT,...]]...
#                                              makes a cluster in DIR, or starts again what is there (then without
#                                              options); waits until it answers; prints its bootstrap address
#   scripts/kafka.sh stop|kill|restart DIR [NODE]...   all nodes or these; kill: kill -9; restart: stop, then start
#   scripts/kafka.sh status DIR                a line a node: "node=1 state=running pid=42 bootstrap=127.0.0.1:20001";
#                                              exit code 0 when all run, else 3
#   scripts/kafka.sh bootstrap DIR [LISTENER]  the addresses as clients want them
#   scripts/kafka.sh tool DIR CLASS [ARGUMENT]...   one of Kafka's own tools, told of the cluster: TopicCommand --list,
#                                              consumer.ConsoleConsumer --topic t --from-beginning, kafka.admin.AclCommand ...
#   scripts/kafka.sh destroy DIR               kills what runs and removes DIR
#
# A listener is one more address of each node, for a protocol (SASL_PLAINTEXT, SSL ...) or for a proxy: with "@PORT,..."
# node N tells clients to come to the N-th of these ports, where the proxy is that leads to the listener's own.
# A node has a heap of at most 256 MB: KAFKA_JAVA_OPTIONS for more.
#
# Exit codes: 0; 1 failed; 2 usage; 69 cannot be had here (no Java, no Maven, no repository): callers go on without.
set -euo pipefail

KAFKA_SCRIPTS=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
readonly KAFKA_SCRIPTS
# shellcheck source=scripts/background.sh
source "$KAFKA_SCRIPTS/background.sh"
readonly KAFKA_START_SECONDS=120
# One collector thread and a small heap: a broker beside a database and its tests, on two cores.
readonly KAFKA_JAVA_DEFAULTS="-Xms128m -Xmx256m -XX:+UseSerialGC -XX:MaxMetaspaceSize=128m -XX:ReservedCodeCacheSize=64m -Xss512k"

kafka_say() { printf 'kafka.sh: %s\n' "$*" >&2; }

kafka_fetch() { "$KAFKA_SCRIPTS/fetch-jars.sh" "$KAFKA_SCRIPTS/kafka-jars.txt"; }

# Kafka's classes as Java has them in memory, where kafka_archive has written them down.
kafka_class_data() { [ ! -s "$1.jsa" ] || printf '%s\n' "-XX:SharedArchiveFile=$1.jsa"; } # JARS

# Once: starts a broker and lets its Java write down what it has loaded. Each start afterwards takes half the time.
kafka_archive() { # JARS
  [ ! -e "$1.jsa" ] || return 0
  # Several callers may find it missing at once.
  (flock 9; [ -e "$1.jsa" ] || kafka_write_archive "$1" 9>&-) 9> "$1.jsa.lock"
}

# In a shell of its own, whose broker ends with it.
kafka_write_archive() ( # JARS
  directory=$(mktemp -d "$1.archive.XXXXXX")
  trap 'kafka_destroy "$directory"; rm -rf "$directory"' EXIT
  trap 'exit 143' HUP INT TERM
  if kafka_create "$directory" && kafka_format "$directory" "$1"; then
    KAFKA_JAVA_OPTIONS="-XX:ArchiveClassesAtExit=$directory/jsa" kafka_spawn "$directory" "$1" 1
    if kafka_wait "$directory" 1; then kafka_signal TERM "$directory" 1 || true; fi
  fi
  # A Java that cannot do it is slower and no worse: an empty file stands for "not again".
  if [ -e "$directory/jsa" ]; then mv "$directory/jsa" "$1.jsa"; else touch "$1.jsa"; fi
)

# --- Processes --------------------------------------------------------------------------------------------------

kafka_nodes() { # DIR
  local node
  for node in "$1"/node-*; do printf '%s\n' "${node##*/node-}"; done
}

# All nodes, or those that are named.
kafka_named() { # DIR [NODE]...
  local directory=$1 node
  shift
  [ -e "$directory/cluster.id" ] || { kafka_say "there is no cluster in \"$directory\""; return 1; }
  for node in "$@"; do
    [ -d "$directory/node-$node" ] || { kafka_say "there is no node $node in \"$directory\""; return 2; }
  done
  if [ $# = 0 ]; then kafka_nodes "$directory"; else printf '%s\n' "$@"; fi
}

# The process id, if that process is alive and the one we started.
kafka_pid() { process_of "$1/node-$2/pid" "$1/node-$2/server.properties"; } # DIR NODE

# To all of them at once: a controller that is the last of three would wait for the others.
kafka_signal() { # SIGNAL DIR NODE...   and waits until they are gone; 1 when they are not
  local signal=$1 directory=$2 node jobs=() status=0
  shift 2
  for node in "$@"; do
    end_process "$signal" "$directory/node-$node/pid" "$directory/node-$node/server.properties" &
    jobs+=($!)
  done
  for node in "${jobs[@]}"; do wait "$node" || status=1; done
  return $status
}

# --- A new cluster ----------------------------------------------------------------------------------------------

kafka_create() { # DIR [--nodes N] [--property NAME=VALUE]... [--listener NAME=PROTOCOL[@PORT,...]]...
  local directory=$1 nodes=1 properties=() extra=() node port listener name protocol ports
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --nodes) nodes=${2:?}; shift 2 ;;
      --property) properties+=("${2:?}"); shift 2 ;;
      --listener) extra+=("${2:?}"); shift 2 ;;
      *) kafka_say "unknown option \"$1\""; return 2 ;;
    esac
  done
  case $nodes in [1-9]) ;; *) kafka_say "--nodes takes 1 to 9, not \"$nodes\""; return 2 ;; esac

  local client=() controller=() voters='' given=()
  for node in $(seq "$nodes"); do
    port=$(free_port "${given[@]}"); given+=("$port"); client[node]=$port
    port=$(free_port "${given[@]}"); given+=("$port"); controller[node]=$port
    voters+=${voters:+,}$node@127.0.0.1:$port
  done
  mkdir -p "$directory"
  log4j_properties > "$directory/log4j.properties"
  # The identity of the cluster: 16 random bytes in base64, none of whose letters Kafka's tools take for an option.
  head -c 16 /dev/urandom | base64 | tr '+/' 'AB' | tr -d '=' > "$directory/cluster.id"

  for node in $(seq "$nodes"); do
    mkdir -p "$directory/node-$node"
    local listeners=CLIENT://127.0.0.1:${client[node]},CONTROLLER://127.0.0.1:${controller[node]}
    local advertised=CLIENT://127.0.0.1:${client[node]} map=CLIENT:PLAINTEXT,CONTROLLER:PLAINTEXT
    for listener in "${extra[@]}"; do
      name=${listener%%=*} protocol=${listener#*=} ports=
      case $protocol in *@*) ports=${protocol#*@} protocol=${protocol%%@*} ;; esac
      port=$(free_port "${given[@]}"); given+=("$port")
      listeners+=,$name://127.0.0.1:$port
      advertised+=,$name://127.0.0.1:$(cut -d , -f "$node" <<< "${ports:-$port}")
      map+=,$name:$protocol
      [ -z "$ports" ] || [ -n "$(cut -s -d , -f "$node" <<< "$ports,")" ] || { kafka_say "listener $name: no port for node $node"; return 2; }
    done
    {
      echo "process.roles=broker,controller"
      echo "node.id=$node"
      echo "controller.quorum.voters=$voters"
      echo "controller.listener.names=CONTROLLER"
      echo "inter.broker.listener.name=CLIENT"
      echo "listeners=$listeners"
      echo "advertised.listeners=$advertised"
      echo "listener.security.protocol.map=$map"
      echo "log.dirs=$directory/node-$node/data"
      echo "auto.create.topics.enable=false"
      echo "default.replication.factor=$nodes"
      echo "min.insync.replicas=$((nodes / 2 + 1))"
      echo "offsets.topic.replication.factor=$nodes"
      echo "transaction.state.log.replication.factor=$nodes"
      echo "transaction.state.log.min.isr=$((nodes / 2 + 1))"
      # Fifty of each are Kafka's default, and most of the time that a first transaction takes.
      echo "offsets.topic.num.partitions=3"
      echo "transaction.state.log.num.partitions=3"
      echo "group.initial.rebalance.delay.ms=0"
      # Topics come and go in tests: what is deleted need not stay for a minute.
      echo "log.segment.delete.delay.ms=1000"
      # 128 MB by default, more than the heap has room for twice.
      echo "log.cleaner.dedupe.buffer.size=8388608"
      echo "log.cleaner.threads=1"
      echo "num.network.threads=2"
      echo "num.io.threads=4"
      [ ${#properties[@]} = 0 ] || printf '%s\n' "${properties[@]}"
    } > "$directory/node-$node/server.properties"
  done
}

kafka_format() { # DIR JARS
  local node jobs=()
  for node in $(kafka_nodes "$1"); do
    # shellcheck disable=SC2046  # an option or none
    java $(kafka_class_data "$2") -Xmx64m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.configuration="file:$1/log4j.properties" \
      -cp "$2/*" kafka.tools.StorageTool format --ignore-formatted -t "$(cat "$1/cluster.id")" -c "$1/node-$node/server.properties" > "$1/node-$node/format.log" 2>&1 &
    jobs+=($!)
  done
  for node in "${jobs[@]}"; do wait "$node" || { cat "$1"/node-*/format.log >&2; kafka_say "the storage in \"$1\" could not be formatted"; return 1; }; done
}

# --- Start ------------------------------------------------------------------------------------------------------

kafka_spawn() { # DIR JARS NODE
  local node=$1/node-$3
  touch "$node/log"
  wc -c < "$node/log" > "$node/log.began"
  # shellcheck disable=SC2086,SC2046  # options are words
  start_process "$node/pid" "$node/log" java $(kafka_class_data "$2") $KAFKA_JAVA_DEFAULTS ${KAFKA_JAVA_OPTIONS:-} -XX:+ExitOnOutOfMemoryError \
    -Dlog4j.configuration="file:$1/log4j.properties" -cp "$2/*" kafka.Kafka "$node/server.properties"
}

# It has said so, since it was started last, and it answers a request (ApiVersions, version 0).
kafka_answers() { # DIR NODE
  local address answer
  tail -c "+$(($(cat "$1/node-$2/log.began") + 1))" "$1/node-$2/log" | grep 'Kafka Server started' > /dev/null || return 1
  address=$(kafka_address "$1" "$2" CLIENT)
  answer=$({
    exec 3<> "/dev/tcp/${address/://}" && printf '\0\0\0\12\0\22\0\0\0\0\0\1\377\377' >&3 &&
      timeout 5 head -c 8 <&3 | od -An -tu1 | tr -s ' '
  } 2> /dev/null) || return 1
  [ "${answer##* 0 0 0 }" = 1 ]
}

kafka_address() { # DIR NODE LISTENER   as clients are told
  sed -n "s|^advertised.listeners=\(.*,\)\{0,1\}$3://\([^,]*\).*|\2|p" "$1/node-$2/server.properties"
}

kafka_bootstrap() { # DIR [LISTENER]
  local nodes node list=
  nodes=$(kafka_named "$1") || return
  for node in $nodes; do list+=${list:+,}$(kafka_address "$1" "$node" "${2:-CLIENT}"); done
  printf '%s\n' "$list"
}

kafka_wait() { # DIR NODE...
  local directory=$1 node deadline=$((SECONDS + KAFKA_START_SECONDS))
  shift
  for node in "$@"; do
    if ! wait_for_process $((deadline - SECONDS)) "$directory/node-$node/pid" "$directory/node-$node/server.properties" \
      kafka_answers "$directory" "$node"; then
      tail -n 20 "$directory/node-$node/log" >&2
      kafka_say "node $node in \"$directory\" did not start (its log is above)"
      return 1
    fi
  done
}

kafka_start() { # DIR [NODE]... | DIR [OPTION]...
  local directory jars node nodes status
  directory=$(readlink -m "$1")
  shift
  jars=$(kafka_fetch) || return
  kafka_archive "$jars" 2> /dev/null
  if [ ! -e "$directory/cluster.id" ]; then
    kafka_create "$directory" "$@" || { status=$?; rm -rf "$directory"; return $status; }
    kafka_format "$directory" "$jars" || { status=$?; rm -rf "$directory"; return $status; }
    set --
  else
    case ${1:-} in -*) kafka_say "there is a cluster in \"$directory\": options are for a new one"; return 2 ;; esac
  fi
  nodes=$(kafka_named "$directory" "$@") || return
  for node in $nodes; do kafka_pid "$directory" "$node" > /dev/null || kafka_spawn "$directory" "$jars" "$node"; done
  # shellcheck disable=SC2086  # numbers
  kafka_wait "$directory" $nodes || return
  kafka_bootstrap "$directory"
}

# --- The rest ---------------------------------------------------------------------------------------------------

kafka_end() { # SIGNAL DIR [NODE]...
  local signal=$1 directory nodes
  directory=$(readlink -m "$2")
  shift 2
  nodes=$(kafka_named "$directory" "$@") || return
  # shellcheck disable=SC2086  # numbers
  kafka_signal "$signal" "$directory" $nodes || kafka_signal KILL "$directory" $nodes
}
kafka_stop() { kafka_end TERM "$@"; }
kafka_kill() { kafka_end KILL "$@"; }
kafka_restart() { # DIR [NODE]...
  kafka_stop "$@"
  kafka_start "$@"
}

kafka_status() { # DIR
  local directory nodes node pid status=0
  directory=$(readlink -m "$1")
  nodes=$(kafka_named "$directory") || return
  for node in $nodes; do
    if pid=$(kafka_pid "$directory" "$node"); then
      printf 'node=%s state=%s pid=%s bootstrap=%s\n' "$node" "$(kafka_answers "$directory" "$node" && echo running || echo silent)" \
        "$pid" "$(kafka_address "$directory" "$node" CLIENT)"
    else
      printf 'node=%s state=stopped bootstrap=%s\n' "$node" "$(kafka_address "$directory" "$node" CLIENT)"
      status=3
    fi
  done
  return $status
}

kafka_tool() { # DIR CLASS [ARGUMENT]...
  local directory jars class=${2:?which class?} bootstrap
  directory=$(readlink -m "$1")
  shift 2
  bootstrap=$(kafka_bootstrap "$directory") || return
  jars=$(kafka_fetch) || return
  printf '%s\n' 'log4j.rootLogger=WARN, err' 'log4j.appender.err=org.apache.log4j.ConsoleAppender' 'log4j.appender.err.target=System.err' \
    'log4j.appender.err.layout=org.apache.log4j.SimpleLayout' > "$directory/tool.properties"
  case $class in kafka.*|org.*) ;; *) class=org.apache.kafka.tools.$class ;; esac
  # shellcheck disable=SC2046  # an option or none
  java $(kafka_class_data "$jars") -Xmx128m -XX:+UseSerialGC -XX:TieredStopAtLevel=1 -Dlog4j.configuration="file:$directory/tool.properties" \
    -cp "$jars/*" "$class" --bootstrap-server "$bootstrap" "$@"
}

kafka_destroy() { # DIR
  [ -e "$1/cluster.id" ] || return 0
  kafka_kill "$1"
  rm -rf "$1"
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
  command=${1:-}
  case $command in
    fetch) [ $# = 1 ] || { sed -n '2,25s/^# \{0,1\}//p' "$0" >&2; exit 2; }; kafka_fetch ;;
    start|stop|kill|restart|status|bootstrap|tool|destroy)
      shift
      [ -n "${1:-}" ] || { kafka_say "$command: which directory?"; exit 2; }
      "kafka_$command" "$@" ;;
    *) sed -n '2,25s/^# \{0,1\}//p' "$0" >&2; exit 2 ;;
  esac
fi
