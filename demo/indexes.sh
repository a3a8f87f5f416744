# shellcheck shell=bash disable=SC2154,SC2034  # private and options are run.sh's
# The parts of demo/run.sh about indexes outside the database: documents in Redis and in OpenSearch. Sourced.

# Addresses of those that run here; empty: there is none to be had.
redis='' opensearch='' starting=''

# Starts them in the private directory. OpenSearch takes 15 s for it: await_engines waits.
start_engines() {
  title "Redis and OpenSearch for the indexes"
  note "Redis is Debian's, OpenSearch's jars come from Maven Central as Kafka's do; it starts while the tables are filled."
  if run_job scripts/redis.sh start "$private/redis" > "$private/redis.address" 2> "$private/redis.err"; then
    redis=$(cat "$private/redis.address")
  else
    go_on_without redis
  fi
  if run_job scripts/opensearch.sh fetch > /dev/null 2> "$private/opensearch.err"; then
    scripts/opensearch.sh start "$private/opensearch" > "$private/opensearch.address" 2> "$private/opensearch.err" < /dev/null &
    starting=$!
  else
    go_on_without opensearch
  fi
}

go_on_without() { # NAME
  sed 's/^/  /' "$private/$1.err"
  note "No $1 can be had here; going on without it."
}

# Adds those that there are to the sidecar's settings.
await_engines() {
  local settings=()
  if [ -n "$starting" ] && wait "$starting"; then
    opensearch=$(cat "$private/opensearch.address")
  elif [ -n "$starting" ]; then
    go_on_without opensearch
  fi
  [ -z "$redis" ] || settings+=('[index.cache]' 'kind = "redis"' "url = \"redis://$redis/0\"")
  [ -z "$redis" ] || [ -z "$opensearch" ] || settings+=('')
  [ -z "$opensearch" ] || settings+=('[index.search]' 'kind = "opensearch"' "url = \"$opensearch\"")
  [ ${#settings[@]} != 0 ] || return 0
  [ ${#options[@]} = 0 ] || settings=('' "${settings[@]}")
  printf '%s\n' "${settings[@]}" >> "$private/anabranch.toml"
  options=(-c "$private/anabranch.toml")
}

stop_engines() {
  [ -z "$redis" ] || scripts/redis.sh stop "$private/redis"
  [ -z "$opensearch" ] || scripts/opensearch.sh stop "$private/opensearch"
}

# A command of Redis; what comes in pairs stands a pair a line.
ask_redis() {
  show "redis-cli -p ${redis##*:} $*"
  redis-cli -p "${redis##*:}" "$@" | paste - - | sed 's/^/  /'
}

# Packages by a word of their description.
search() {
  local url="$opensearch/package_search/_search?q=description:$1&size=3"
  url+='&filter_path=hits.total.value,hits.hits._source.name,hits.hits._source.description&format=yaml'
  show "curl '$url'"
  curl -sS "$url" | sed '/^---$/d; s/^/  /'
}

create_indexes() {
  local names=()
  if [ -n "$redis" ]; then
    sql "SELECT anabranch.create_index('user_info', 'cache', \$\$
  SELECT user_id, count(letters) AS tweets, sum(letters) AS letters, avg(letters)::numeric(6,1) AS letters_per_tweet,
         sum(following) AS following, sum(followers) AS followers
  FROM (SELECT user_id, NULL::int AS letters, 0 AS following, 0 AS followers FROM users
        UNION ALL SELECT user_id, length(body), 0, 0 FROM tweets
        UNION ALL SELECT follower_id, NULL, 1, 0 FROM follows
        UNION ALL SELECT followee_id, NULL, 0, 1 FROM follows) AS events
  GROUP BY user_id \$\$, key => '{user_id}', options => '{\"shape\": \"hash\", \"key\": \"user:{user_id}\"}');"
    sql "SELECT anabranch.create_index('most_depended', 'cache',
  'SELECT depends_on AS name, count(*) AS packages FROM dependency GROUP BY depends_on', key => '{name}',
  options => '{\"shape\": \"sorted_set\", \"key\": \"packages:most_depended\", \"member\": \"name\", \"score\": \"packages\"}');"
    names+=(user_info most_depended)
  fi
  if [ -n "$opensearch" ]; then
    sql "SELECT anabranch.create_index('package_search', 'search', 'SELECT name, section, description FROM package', key => '{name}',
  options => '{\"mapping\": {\"description\": {\"type\": \"text\", \"analyzer\": \"english\"}}}');"
    names+=(package_search)
  fi
  watch_fill "${names[@]}"
}

# While they change.
read_indexes() {
  if [ -n "$redis" ]; then
    note "A user's page, in one call instead of five queries; and the packages that most others depend on:"
    ask_redis HGETALL user:42
    ask_redis ZREVRANGE packages:most_depended 0 4 WITHSCORES
  fi
  if [ -n "$opensearch" ]; then
    note ""
    note "Packages by a word of their description. Descriptions are being changed all the time, and here is one more:"
    search shell
    sql "UPDATE package SET description = 'the shell that otters like' WHERE name = 'bash';"
    sql "SELECT anabranch.wait_for('package_search', timeout => '60 s');  -- a search finds everything committed until now"
    search otter
  fi
}

# As somebody might who does not know that they are kept.
damage_indexes() {
  note "First, somebody writes into the indexes by hand:"
  [ -z "$redis" ] || ask_redis HSET user:20001 followers 1000000
  if [ -n "$opensearch" ]; then
    local document='{"doc": {"description": "a shell"}}'
    show "curl -H 'Content-Type: application/json' $opensearch/package_search/_update/bash -d '$document'"
    curl -sS -H 'Content-Type: application/json' "$opensearch/package_search/_update/bash" -d "$document" | sed 's/^/  /; s/$/\n/'
  fi
  note ""
}

# What verify has found to differ in them, mended.
mend_indexes() {
  local run
  note ""
  note "The copies are right; what was written into the indexes by hand has been found, and is put right:"
  sql "SELECT d.run, d.copy, d.class, d.key, field, d.expected ->> field AS expected, d.actual ->> field AS actual
FROM anabranch.differences AS d, jsonb_object_keys(d.expected) AS field
WHERE d.held_by = 'index' AND d.expected ->> field IS DISTINCT FROM d.actual ->> field;"
  for run in $(query "SELECT DISTINCT run FROM anabranch.differences ORDER BY run"); do
    show "SELECT anabranch.repair($run);"
    end_of_run "$(query "SELECT anabranch.repair($run)")"
  done
  [ -z "$redis" ] || ask_redis HGETALL user:20001
  [ -z "$opensearch" ] || search otter
}

# Waits for the end of a verification; shows its verdict.
end_of_run() { # RUN
  local _
  for _ in $(seq 600); do
    [ "$(query "SELECT finished_at IS NULL FROM anabranch.verifications WHERE run = $1")" = t ] || break
    sleep 0.1
  done
  note "  run $1: $(query "SELECT coalesce(verdict, concat_ws(': ', state, coalesce(reason, waiting))) FROM anabranch.verifications WHERE run = $1")"
}
