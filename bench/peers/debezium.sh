#!/usr/bin/env bash
# Debezium's PostgreSQL connector in Kafka Connect, as its users run it, to be measured beside ours on the same broker:
#
#   bench/peers/debezium.sh start DIR --bootstrap ADDRESSES --database host=H,port=P,user=U,dbname=D --tables S.T[,S.T...]
#                           [--name NAME] [--exactly-once] [--property NAME=VALUE]... [--worker-property NAME=VALUE]...
#                                            waits until it streams; topics are NAME.SCHEMA.TABLE; prints its pid
#   bench/peers/debezium.sh stop|kill|destroy DIR
#
# NAME (default: debezium) is the connector's, its slot's and its publication's, too. Decoding is pgoutput's, since that is what
# Debezium's documentation recommends. Delivery is at least once, by a standalone worker; with --exactly-once it is as Debezium's
# page on exactly-once delivery says, by a distributed worker, the only kind that has it, in a Kafka transaction for each batch that
# the connector hands out (transaction.boundary=poll). It is tuned for throughput and for latency at once, beyond its
# defaults, where that is harmless: it asks the queue every 10 ms instead of 500, its batches and queue are four times as
# large, its producer waits 5 ms for fuller batches and compresses with lz4, its converter writes JSON without the schema
# in each record. What was there before the start is not copied (snapshot.mode=no_data), and its slot and publication
# stay when it is destroyed. The heap is 1 GB: DEBEZIUM_JAVA_OPTIONS for another. Let it run warm before measuring: the first
# 100,000 rows cost it three times as much as later ones. The server has to listen on TCP: the driver knows no other way.
# Exit codes: as of scripts/kafka.sh; 69: cannot be had here.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
# shellcheck source=scripts/background.sh
source "$here/../../scripts/background.sh"
readonly START_SECONDS=120

say() { printf 'debezium.sh: %s\n' "$*" >&2; }
usage() { sed -n '2,21s/^# \{0,1\}//p' "$0" >&2; exit 2; }

# One field of "host=H,port=P,...".
field() { sed -n "s/^\(.*,\)\{0,1\}$2=\([^,]*\).*$/\2/p" <<< "$1"; } # LIST NAME

configure() { # DIR [OPTION]...
  local directory=$1 bootstrap='' database='' tables='' name=debezium exactly_once=false properties=() worker=()
  shift
  while [ $# -gt 0 ]; do
    case $1 in
      --bootstrap) bootstrap=${2:?}; shift 2 ;;
      --database) database=${2:?}; shift 2 ;;
      --tables) tables=${2:?}; shift 2 ;;
      --name) name=${2:?}; shift 2 ;;
      --exactly-once) exactly_once=true; shift ;;
      --property) properties+=("${2:?}"); shift 2 ;;
      --worker-property) worker+=("${2:?}"); shift 2 ;;
      *) say "unknown option \"$1\""; return 2 ;;
    esac
  done
  if [ -z "$bootstrap" ] || [ -z "$database" ] || [ -z "$tables" ]; then
    say "--bootstrap, --database and --tables are needed"
    return 2
  fi
  mkdir -p "$directory"
  {
    echo "bootstrap.servers=$bootstrap"
    echo "listeners=http://127.0.0.1:$(free_port)"
    echo "plugin.discovery=only_scan"
    echo "key.converter=org.apache.kafka.connect.json.JsonConverter"
    echo "key.converter.schemas.enable=false"
    echo "value.converter=org.apache.kafka.connect.json.JsonConverter"
    echo "value.converter.schemas.enable=false"
    echo "connector.client.config.override.policy=All"
    if "$exactly_once"; then
      echo "group.id=$name"
      echo "exactly.once.source.support=enabled"
      local topic
      for topic in config offset status; do
        echo "$topic.storage.topic=$name.connect.$topic"
        echo "$topic.storage.replication.factor=1"
      done
    else
      echo "offset.storage.file.filename=$directory/offsets"
      echo "offset.flush.interval.ms=1000"
    fi
    [ ${#worker[@]} = 0 ] || printf '%s\n' "${worker[@]}"
  } > "$directory/worker.properties"
  {
    echo "name=$name"
    if "$exactly_once"; then
      echo "exactly.once.support=required"
      echo "transaction.boundary=poll"
    fi
    echo "connector.class=io.debezium.connector.postgresql.PostgresConnector"
    echo "tasks.max=1"
    echo "plugin.name=pgoutput"
    echo "database.hostname=$(field "$database" host)"
    echo "database.port=$(field "$database" port)"
    echo "database.user=$(field "$database" user)"
    echo "database.password=$(field "$database" password)"
    echo "database.dbname=$(field "$database" dbname)"
    echo "topic.prefix=$name"
    echo "table.include.list=$tables"
    echo "slot.name=$name"
    echo "publication.name=$name"
    echo "publication.autocreate.mode=filtered"
    echo "snapshot.mode=no_data"
    echo "topic.creation.default.replication.factor=-1"
    echo "topic.creation.default.partitions=1"
    echo "poll.interval.ms=10"
    echo "max.batch.size=8192"
    echo "max.queue.size=32768"
    echo "producer.override.linger.ms=5"
    echo "producer.override.batch.size=262144"
    echo "producer.override.compression.type=lz4"
    [ ${#properties[@]} = 0 ] || printf '%s\n' "${properties[@]}"
  } > "$directory/connector.properties"
  log4j_properties > "$directory/log4j.properties"
}

# Since it was started last, when the log had so many bytes.
streams() { tail -c "+$(($2 + 1))" "$1" | grep 'Starting streaming' > /dev/null; } # LOG BYTES
has_decided() { streams "$@" || tail -c "+$(($2 + 1))" "$1" | grep 'Task is being killed' > /dev/null; } # LOG BYTES

listens() { curl -sf -o "$1" "$2/connectors"; } # FILE URL

# A distributed worker has no connector until it is told of one. Exactly once is possible only once the worker leads its group.
submit() { # DIR
  local directory=$1 url
  url=$(sed -n 's/^listeners=//p' "$directory/worker.properties")
  sed -n 's/["\\]/\\&/g; s/^\([^=]*\)=\(.*\)/"\1": "\2"/p' "$directory/connector.properties" | paste -sd, | sed 's/.*/{&}/' > "$directory/connector.json"
  wait_for_process $START_SECONDS "$directory/pid" "$directory/connector.properties" listens "$directory/answer" "$url" &&
    curl -sS -f --retry 30 --retry-delay 1 --retry-all-errors -o "$directory/answer" -X PUT -H 'Content-Type: application/json' \
      --data "@$directory/connector.json" "$url/connectors/$(sed -n 's/^name=//p' "$directory/connector.properties")/config"
}

start() { # DIR [OPTION]...
  local directory=$1 jars began worker=ConnectStandalone
  jars=$("$here/../../scripts/fetch-jars.sh" "$here/debezium-jars.txt") || return
  if [ ! -e "$directory/connector.properties" ]; then
    configure "$@" || return
  elif [ $# -gt 1 ]; then
    say "there is a connector in \"$directory\": options are for a new one"
    return 2
  fi
  touch "$directory/log"
  began=$(wc -c < "$directory/log")
  ! grep '^exactly.once.support=' "$directory/connector.properties" > /dev/null || worker=ConnectDistributed
  if ! process_of "$directory/pid" "$directory/connector.properties" > /dev/null; then
    # shellcheck disable=SC2086  # options are words
    start_process "$directory/pid" "$directory/log" java -Xms256m -Xmx1g ${DEBEZIUM_JAVA_OPTIONS:-} \
      -Dlog4j.configuration="file:$directory/log4j.properties" -cp "$jars/*" \
      "org.apache.kafka.connect.cli.$worker" "$directory/worker.properties" "$directory/connector.properties"
    [ "$worker" = ConnectStandalone ] || submit "$directory" || say "the worker in \"$directory\" takes no connector"
    if ! wait_for_process $START_SECONDS "$directory/pid" "$directory/connector.properties" has_decided "$directory/log" "$began" ||
      ! streams "$directory/log" "$began"; then
      tail -n 30 "$directory/log" >&2
      say "the connector in \"$directory\" does not stream (its log is above)"
      return 1
    fi
  fi
  process_of "$directory/pid" "$directory/connector.properties"
}

end() { # SIGNAL DIR
  [ -e "$2/connector.properties" ] || { say "there is no connector in \"$2\""; return 1; }
  end_process "$1" "$2/pid" "$2/connector.properties" || end_process KILL "$2/pid" "$2/connector.properties"
}

[ -n "${2:-}" ] || usage
command=$1
directory=$(readlink -m "$2")
shift 2
case $command in
  start) start "$directory" "$@" ;;
  stop) end TERM "$directory" ;;
  kill) end KILL "$directory" ;;
  destroy) [ ! -e "$directory/connector.properties" ] || { end KILL "$directory"; rm -rf "$directory"; } ;;
  *) usage ;;
esac
