#!/usr/bin/env bash
# The demonstration (`make demo`): Debian's package index and a small social network, copies of both kept current while
# pgbench writes, in tables, in Redis and in OpenSearch, and kill -9 of everything. It runs on a private copy of the server
# in a directory of its own, which is removed at the end; with KEEP=1 all servers and the sidecar stay up.
#
# Changes go through a Kafka broker of its own (a quarter of a GB of memory) where one can be had, and otherwise, or with
# LOG=slot, straight from the replication slot. OpenSearch takes 0.4 GB; where it or Redis cannot be had it goes on without.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
cd "$here/.."
source scripts/cluster.sh
source scripts/job.sh
source demo/lib.sh
source demo/indexes.sh
unset MAKEFLAGS MFLAGS MAKELEVEL PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS
export PGCLIENTENCODING=UTF8
program=$PWD/build/anabranch
log=${LOG:-kafka} options=()

clean_up() {
  local status=$? file logs=()
  trap - EXIT
  trap '' HUP INT TERM
  end_job
  # shellcheck disable=SC2046  # numbers
  kill $(jobs -p) 2> /dev/null || true
  if [ "$status" != 0 ]; then
    # Who has stopped it, by a signal, knows why.
    for file in "$private/build.log" "$private/anabranch.log" "$private/demo/log" "$private"/{kafka/node-1,redis,opensearch}/log; do
      [ "$status" -gt 128 ] || [ ! -s "$file" ] || logs+=("$file")
    done
    {
      note ""
      note "The demonstration stopped early.${logs[*]:+ The last lines of its logs:}"
      [ ${#logs[@]} = 0 ] || tail -v -n 20 "${logs[@]}"
    } >&3 2>&3 || true  # a trap may come while a command's output is redirected, and nobody may read on
  fi
  [ -z "$load" ] || kill -KILL -- "-$load" 2> /dev/null || true
  [ -z "$sidecar" ] || kill -KILL "$sidecar" 2> /dev/null || true
  remove "$private"
  exit "$status"
}
exec 3>&1
private=$(private_directory)
trap clean_up EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM

build() { make -j"$(nproc)" && make install && CMAKE_BUILD_PARALLEL_LEVEL=$(nproc) make sidecar TARGET=anabranch; }

# --- Build and prepare ------------------------------------------------------------------------------------------

title "Building the extension, the decoder and the sidecar"
PG_CONFIG=$(private_server "$private")
export PG_CONFIG PATH=${PG_CONFIG%/*}:$PATH
note "On two cores this takes five minutes, the first time. What it does at the moment: tail -f $private/build.log"
run_job build > "$private/build.log" 2>&1
rm "$private/build.log"
note "A private copy of PostgreSQL is in $private; the one of this machine, if it runs, is left alone."
cluster_create "$private/demo" max_wal_size=2GB
PGHOST=$(cluster_socket "$private/demo")
export PGHOST PGPORT=5432 PGUSER=postgres PGDATABASE=demo
createdb demo
if [ "$log" = kafka ]; then start_kafka || log=slot; fi
start_engines

part "Tables with rows in them"
note "demo/tables.sql makes a social network of 20,000 users; demo/packages.py reads Debian's package index."
demo/packages.py > "$private/packages.sql" 2> "$private/packages.txt" &
reading=$!
run_job psql -X -q -v ON_ERROR_STOP=1 -f demo/tables.sql
wait "$reading"
run_job psql -X -q -v ON_ERROR_STOP=1 -f "$private/packages.sql"
note "$(cat "$private/packages.txt")"
run_job psql -X -q -c "VACUUM ANALYZE" -c "CHECKPOINT"
await_engines
note "How fast four writers are before there is any copy (6 s):"
before=$(rate_of demo/social_load.sql 6)
note "  $before transactions/s"

# --- The copies ---------------------------------------------------------------------------------------------------

part "One extension, one command beside the server"
sql "CREATE EXTENSION anabranch;"
run "$program" "${options[@]}" init
note ""
note "    anabranch ${options[*]} run      # in the background; its log is $private/anabranch.log"
start_sidecar

part "A profile page's four counts, as one row per user, created while 300 transactions/s are written"
start_load 300 "$here/social_load.sql"
sql "SELECT anabranch.create_aggregate_table('user_activity', \$\$
  SELECT user_id, sum(tweets) AS tweets, sum(following) AS following, sum(followers) AS followers, sum(likes) AS likes
  FROM (SELECT user_id, 0 AS tweets, 0 AS following, 0 AS followers, 0 AS likes FROM users
        UNION ALL SELECT user_id, 1, 0, 0, 0 FROM tweets
        UNION ALL SELECT follower_id, 0, 1, 0, 0 FROM follows
        UNION ALL SELECT followee_id, 0, 0, 1, 0 FROM follows
        UNION ALL SELECT user_id, 0, 0, 0, 1 FROM likes) AS events
  GROUP BY user_id \$\$, prepare_sources => true);"
watch_fill user_activity
sql "SELECT * FROM user_activity WHERE user_id = 42;"

part "The package index: dependencies, reverse dependencies and size of each package, and sizes by section"
sql "SELECT anabranch.create_aggregate_table('package_facts', \$\$
  SELECT name, sum(needs) AS dependencies, sum(needed) AS reverse_dependencies, sum(kb) AS installed_kb
  FROM (SELECT name, 0 AS needs, 0 AS needed, installed_kb AS kb FROM package
        UNION ALL SELECT package, 1, 0, 0 FROM dependency
        UNION ALL SELECT depends_on, 0, 1, 0 FROM dependency) AS facts
  GROUP BY name \$\$, prepare_sources => true);"
sql "SELECT anabranch.create_aggregate_table('section_sizes', \$\$
  SELECT section, count(*) AS packages, sum(installed_kb) AS installed_kb, avg(installed_kb)::numeric(12,1) AS mean_kb,
         stddev(installed_kb)::numeric(12,1) AS deviation_kb, count(*) FILTER (WHERE installed_kb > 100000) AS huge
  FROM package GROUP BY section HAVING count(*) > 100 \$\$);"
watch_fill package_facts section_sizes
sql "SELECT * FROM package_facts ORDER BY reverse_dependencies DESC LIMIT 5;"
stop_load
start_load 300 "$here/social_load.sql" "$here/package_load.sql"
note "The archive is being written to now. libc6 grows; the copy follows:"
sql "SELECT c.name, c.reverse_dependencies, c.installed_kb FROM package_facts AS c WHERE name = 'libc6';"
sleep 2
sql "SELECT anabranch.wait_for('package_facts');  -- everything committed until now
SELECT c.name, c.reverse_dependencies, c.installed_kb FROM package_facts AS c WHERE name = 'libc6';"

# --- The log ------------------------------------------------------------------------------------------------------

stop_load
query "SELECT anabranch.wait_for('user_activity', timeout => '60 s')" > /dev/null
look_into_the_log
start_load 300 "$here/social_load.sql" "$here/package_load.sql"

# --- What it brings, and what it costs -----------------------------------------------------------------------------

part "Four COUNT queries, each with its index, beside one lookup, while writes go on"
show "$(cat demo/four_counts.sql)"
counts=$(latency_of demo/four_counts.sql 4)
show "$(cat demo/one_lookup.sql)"
lookup=$(latency_of demo/one_lookup.sql 4)
awk -v a="$counts" -v b="$lookup" 'BEGIN { printf "\n  four counts %8.3f ms\n  one lookup  %8.3f ms   %.0f times as fast\n", a, b, a / b }'

part "What it costs the writers"
stop_load
after=$(rate_of demo/social_load.sql 6)
awk -v a="$before" -v b="$after" 'BEGIN { printf "  without a copy  %6d transactions/s\n  with three      %6d transactions/s   (%.2f), all on this one machine\n", a, b, b / a }'
sql "SELECT copy, state, lag_bytes FROM anabranch.copies;"
began=$(date +%s%3N)
wait_for_all
note "Level with everything committed $(($(date +%s%3N) - began)) ms later."

# --- Indexes outside the database ------------------------------------------------------------------------------------

start_load 300 "$here/social_load.sql" "$here/package_load.sql"
if [ -n "$redis$opensearch" ]; then
  part "Indexes outside the database: documents in Redis and OpenSearch, filled and kept current like any copy"
  create_indexes
  read_indexes
fi

# --- kill -9 ------------------------------------------------------------------------------------------------------

part "kill -9, while 300 transactions/s are written"
note "    kill -9 $sidecar      # the sidecar"
kill -KILL "$sidecar"
wait "$sidecar" 2> /dev/null || true
sleep 1.5
note "It is gone, writes go on. anabranch run, again:"
began=$(date +%s%3N)
start_sidecar
wait_level
sleep 1
note ""
note "    kill -9 $(head -n 1 "$private/demo/data/postmaster.pid") ...  # PostgreSQL, every process of it"
cluster_kill "$private/demo"
sleep 0.5
began=$(date +%s%3N)
cluster_start "$private/demo"
note "PostgreSQL is up again after $(($(date +%s%3N) - began)) ms of recovery; the sidecar finds its way back by itself."
wait_level
if [ "$log" = kafka ]; then
  sleep 1
  note ""
  note "    kill -9 $(cat "$private/kafka/node-1/pid")      # the broker"
  scripts/kafka.sh kill "$private/kafka"
  sleep 2
  began=$(date +%s%3N)
  scripts/kafka.sh start "$private/kafka" > /dev/null
  note "The broker is up again after $(($(date +%s%3N) - began)) ms; the sidecar has waited for it."
  wait_level
fi
if [ -n "$redis" ]; then
  sleep 1
  note ""
  note "    kill -9 $(cat "$private/redis/pid")      # Redis"
  scripts/redis.sh kill "$private/redis"
  sleep 1
  began=$(date +%s%3N)
  scripts/redis.sh start "$private/redis" > /dev/null
  wait_level
fi
sleep 1

part "Is every row right? Proved while writes go on: the sources' rows, less what the copy does not have yet"
differing=0 damaged=0
if [ -n "$redis$opensearch" ]; then
  damage_indexes
  damaged=1
fi
run "$program" "${options[@]}" verify --wait --duty 1 || differing=$?
[ "$differing" = "$damaged" ] || exit 1
[ "$damaged" = 0 ] || mend_indexes

part "Writers stop. Is every row right? Each copy against its definition, computed by PostgreSQL"
stop_load
wait_for_all
total=0
for copy in user_activity package_facts section_sizes; do
  definition=$(query "SELECT query FROM anabranch.copies WHERE copy = '$copy'::regclass")
  compare="WITH copy AS MATERIALIZED (TABLE $copy), defined AS MATERIALIZED ($definition)
SELECT (SELECT count(*) FROM copy) AS rows, count(*) AS differing
FROM ((TABLE copy EXCEPT ALL TABLE defined) UNION ALL (TABLE defined EXCEPT ALL TABLE copy)) AS difference"
  [ "$copy" != user_activity ] || show "$compare"
  IFS='|' read -r rows differing < <(query "$compare")
  printf '  %-16s %8d rows, %d differing\n' "$copy" "$rows" "$differing"
  total=$((total + differing))
done
[ "$total" = 0 ] || exit 1
run "$program" "${options[@]}" status || true
if [ "$log" = kafka ]; then
  part "And the topics: is every transaction in them, once, whole and in order?"
  run "$program" "${options[@]}" audit
fi

# --- The end ------------------------------------------------------------------------------------------------------

if [ "${KEEP:-}" = 1 ]; then
  title "Server and sidecar stay up"
  note "    export PGHOST=$PGHOST PGPORT=$PGPORT PGUSER=$PGUSER PGDATABASE=$PGDATABASE PATH=${PG_CONFIG%/*}:\$PATH"
  note "    psql                                  # SELECT * FROM anabranch.status; SELECT * FROM anabranch.copies;"
  note "    $program ${options[*]} status --watch"
  [ "$log" != kafka ] || note "    $program ${options[*]} tail --follow"
  [ -z "$redis" ] || note "    redis-cli -p ${redis##*:} HGETALL user:42"
  [ -z "$opensearch" ] || note "    curl '$opensearch/package_search/_search?q=description:shell&pretty'"
  note "    pgbench -n -T 60 -f $here/social_load.sql"
  note "    kill $sidecar; $PWD/scripts/cluster.sh remove $private      # the end of it"
  disown "$sidecar"
  trap - EXIT
else
  kill -TERM "$sidecar"
  wait "$sidecar"
  sidecar=
  [ "$log" != kafka ] || scripts/kafka.sh stop "$private/kafka"
  stop_engines
  cluster_stop "$private/demo"
  title "Stopped cleanly; $private is removed"
fi
note "On a table of your own, after the README's first screen:"
note "    SELECT anabranch.create_aggregate_table('orders_by_user', 'SELECT user_id, count(*) AS orders FROM orders GROUP BY user_id',"
note "                                            prepare_sources => true);"
