# shellcheck shell=bash disable=SC2154,SC2034  # program, private, log, options and began are run.sh's; sidecar is for it
# What demo/run.sh is told with: headings, SQL that is shown before it runs, progress, load. Sourced.

if [ -t 1 ]; then bold=$'\e[1m' blue=$'\e[34m' plain=$'\e[0m' again=$'\r\e[K'; else bold='' blue='' plain='' again=''; fi

parts=0
title() { printf '\n%s%s%s\n\n' "$bold" "$*" "$plain"; }
part() { title "$((parts += 1)). $*"; }
note() { printf '%s\n' "$*"; }
query() { psql -X -q -A -t -v ON_ERROR_STOP=1 -c "$1"; }

show() { printf '%s%s%s\n' "$blue" "    ${1//$'\n'/$'\n'    }" "$plain"; }

# Shows a statement, then runs it and shows what it returns.
sql() {
  show "$1"
  psql -X -q -v ON_ERROR_STOP=1 -P pager=off -c "$1" | sed '/./s/^/  /'
}

# Shows a command, then runs it.
run() {
  show "$*"
  "$@"
}

# Follows copies until all of them are live, with their indexes: rows read, rate, time left; documents sent.
watch_fill() { # COPY...
  local copies states began=$SECONDS said=-2
  copies=$(printf "'%s'::regclass," "$@")
  while :; do
    states=$(query "
      SELECT string_agg(format('%s: %s', copy, CASE
          WHEN c.state = 'filling' THEN format('%s of about %s rows, %s rows/s%s', coalesce(fill_rows, 0), coalesce(fill_rows_total, 0),
            coalesce(round(fill_rows_per_second)::text, '?'), ', ' || extract(epoch FROM fill_time_left)::int || ' s left')
          WHEN x.problem IS NOT NULL THEN format('%s (%s)', x.state, x.problem)
          WHEN x.state = 'filling' THEN format('%s documents sent', x.swept)
          ELSE coalesce(x.state, c.state) END), ';  ' ORDER BY c.id)
      FROM anabranch.copies AS c LEFT JOIN anabranch.indexes AS x ON x.index = c.copy WHERE copy IN (${copies%,})")
    if [ -n "$again" ]; then
      printf '%s  %.110s' "$again" "$states"
    elif [ $((SECONDS - said)) -ge 2 ]; then
      printf '  %s\n' "$states"
      said=$SECONDS
    fi
    case $states in *failed*|*stale*) printf '\n'; query "SELECT copy, state, reason FROM anabranch.copies"; return 1 ;; esac
    [ "$(query "SELECT count(*) FROM anabranch.copies AS c LEFT JOIN anabranch.indexes AS x ON x.index = c.copy
                WHERE copy IN (${copies%,}) AND coalesce(x.state, c.state) = 'live'")" != $# ] || break
    if [ $((SECONDS - began)) -gt 300 ]; then note "not live within 300 s"; return 1; fi
    sleep 0.4
  done
  printf '%s  %s live after %d s\n' "$again" "$*" $((SECONDS - began))
}

# Until every copy, and every index, has what is committed now.
wait_for_all() { query "SELECT anabranch.wait_for(copy, timeout => '120 s') FROM anabranch.definition" > /dev/null; }

# The same after a start (began, in ms), while server and sidecar may be finding each other.
wait_level() {
  for _ in $(seq 60); do
    if wait_for_all 2> /dev/null; then
      note "Level with everything committed $(($(date +%s%3N) - began)) ms after that start."
      return
    fi
    sleep 0.5
  done
  wait_for_all
}

# pgbench in the background, at a given rate, coming back when the server throws it out; `stop_load` ends it.
load=
start_load() { # TRANSACTIONS_PER_SECOND SCRIPT...
  local rate=$1 script files=()
  shift
  for script in "$@"; do files+=(-f "$script"); done
  set -m
  (while :; do pgbench -n -c 2 -R "$rate" -T 3600 "${files[@]}" > /dev/null 2>&1 || sleep 0.1; done) &
  load=$!
  set +m
}
stop_load() {
  [ -n "$load" ] || return 0
  kill -KILL -- "-$load" 2> /dev/null || true
  wait "$load" 2> /dev/null || true
  load=
  # What the server had received before is still carried out.
  for _ in $(seq 100); do
    [ "$(query "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'pgbench'" 2> /dev/null)" != 0 ] || return 0
    sleep 0.1
  done
}

# Transactions per second, and average latency in ms, of a script that runs for some seconds.
rate_of() { pgbench -n -c 4 -T "$2" -f "$1" 2> /dev/null | sed -n 's/^tps = \([0-9]*\).*/\1/p'; }
latency_of() { pgbench -n -c 1 -T "$2" -f "$1" 2> /dev/null | sed -n 's/^latency average = \([0-9.]*\) ms/\1/p'; }

# A broker in the private directory, and the sidecar's settings for it; 1 where none can be had.
start_kafka() {
  local address status=0
  title "A Kafka broker for the log"
  note "Its jars come from Maven Central, once, into ${XDG_CACHE_HOME:-~/.cache}/anabranch; it runs in $private/kafka."
  run_job scripts/kafka.sh start "$private/kafka" > "$private/kafka.address" 2> "$private/kafka.err" || status=$?
  if [ "$status" != 0 ]; then
    sed 's/^/  /' "$private/kafka.err"
    note "No broker can be had here. The copies are fed by the replication slot itself, as they are without log = \"kafka\"."
    return 1
  fi
  address=$(cat "$private/kafka.address")
  printf '%s\n' 'log = "kafka"' '' '[kafka]' "brokers = \"$address\"" 'messages = ["outbox"]' > "$private/anabranch.toml"
  options=(-c "$private/anabranch.toml")
  show "$(cat "$private/anabranch.toml")"
}

# One transaction, rows and an event, as it stands in the log.
look_into_the_log() {
  local transaction="INSERT INTO users VALUES (20001, 'a new user');
INSERT INTO tweets (user_id, body) VALUES (20001, 'hello, world');
SELECT pg_logical_emit_message(true, 'outbox:20001', '{\"event\": \"joined\", \"user\": 20001}');"
  if [ "$log" = kafka ]; then
    part "A look into the topics: two rows and an event, one transaction"
    sql "$transaction"
    query "SELECT anabranch.wait_for('user_activity', timeout => '60 s')" > /dev/null
    run "$program" "${options[@]}" tail -n 1
    note ""
    note "Each topic is an ordinary one, for whoever reads Kafka; these are there now:"
    scripts/kafka.sh tool "$private/kafka" TopicCommand --list 2> /dev/null | sed -n 's/^demo\./  demo./p'
  else
    part "A look into the log: two rows and an event, one transaction"
    query "SELECT pg_create_logical_replication_slot('a_look', 'anabranch_decoder')" > /dev/null
    sql "$transaction"
    sql "SELECT record FROM pg_logical_slot_get_binary_changes('a_look', NULL, NULL, 'proto_version', '1', 'publication_names', 'anabranch')
  AS frame, anabranch.decode(frame.data) AS record WHERE record->>'kind' <> 'relation';"
    query "SELECT pg_drop_replication_slot('a_look')" > /dev/null
  fi
}

# The sidecar, in the background.
sidecar=
start_sidecar() {
  "$program" "${options[@]}" run >> "$private/anabranch.log" 2>&1 < /dev/null &
  sidecar=$!
}
