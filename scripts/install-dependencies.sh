#!/usr/bin/env bash
# Installs the Debian packages that are missing for one purpose, and nothing else:
#
#   scripts/install-dependencies.sh build|test|demo|kafka     build: both libraries and the sidecar
#                                                       kafka: what runs Kafka and OpenSearch (scripts/kafka.sh,
#                                                       scripts/opensearch.sh), and no more
#   scripts/install-dependencies.sh --list PURPOSE      only says what is missing
#
# When nothing is missing it needs neither root nor network. Otherwise it names the packages first, then calls apt-get,
# as root or through sudo. A machine that runs PostgreSQL is left as it was: no server is upgraded or restarted, no
# cluster is made, and nothing is started.
set -euo pipefail
export LC_ALL=C

usage() { sed -n '2,12s/^# \{0,1\}//p' "$0"; }
say() { printf '%s\n' "$*"; }
fail() { printf 'install-dependencies: %s\n' "$*" >&2; exit 1; }

# The major version of the server to build for: that of pg_config where it has the server's headers, else the newest
# one installed, else what the distribution's package `postgresql` brings.
server_major() {
  local pg_config=${PG_CONFIG:-pg_config} newest
  if [ -e "$("$pg_config" --pgxs 2>/dev/null)" ]; then
    "$pg_config" --version | sed 's/^[^0-9]*\([0-9]*\).*/\1/'
    return
  fi
  newest=$(dpkg-query -W -f='${db:Status-Status} ${Package}\n' 'postgresql-[0-9]*' 2>/dev/null |
    sed -n 's/^installed postgresql-\([0-9][0-9]\)$/\1/p' | sort -n | tail -n 1)
  [ -n "$newest" ] || newest=$(apt-cache depends postgresql 2>/dev/null | sed -n 's/.*Depends: postgresql-\([0-9]*\)$/\1/p' | head -n 1)
  [ -n "$newest" ] || newest=$(sed -n 's/^VERSION_ID="\(.*\)"/\1/p' /etc/os-release | sed 's/^12$/15/; s/^13$/17/')
  printf '%s\n' "$newest"
}

# Any Java from 11 on runs the servers: the distribution's, unless there is one. Maven fetches their jars.
java_packages() {
  command -v java > /dev/null || say default-jre-headless
  command -v mvn > /dev/null || say maven
}

needed_packages() { # PURPOSE
  local major
  [ "$1" != kafka ] || { java_packages; return; }
  major=$(server_major)
  say make g++ cmake ninja-build pkg-config "postgresql-$major" "postgresql-server-dev-$major" libpq-dev librdkafka-dev \
    libprotobuf-dev protobuf-compiler libfmt-dev libtomlplusplus-dev libcli11-dev nlohmann-json3-dev libcurl4-openssl-dev \
    libhiredis-dev libsimdjson-dev
  case $1 in
    build) ;;
    demo) say python3 redis-tools curl ;;
    # clang: the fuzzers are libFuzzer's; its runtime is a package of its own. pysyncobj: what Patroni votes by.
    test)
      say python3 python3-psycopg2 python3-confluent-kafka python3-avro pgbouncer patroni python3-pysyncobj redis-tools \
        "postgresql-$major-pgtap" libgtest-dev libgmock-dev clang-14 libclang-rt-14-dev clang-format-14
      java_packages
      ;;
    *) usage >&2; exit 2 ;;
  esac
}

missing_packages() { # PURPOSE
  local package packages
  packages=$(needed_packages "$1") || exit 2
  for package in $packages; do
    [ "$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null)" = installed ] || say "$package"
  done
}

# --- The part that runs as root ---------------------------------------------------------------------------------

POLICY=/usr/sbin/policy-rc.d
POLICY_SAVED=/usr/sbin/policy-rc.d.before-anabranch
CREATECLUSTER=/etc/postgresql-common/createcluster.d
DROP_IN=$CREATECLUSTER/anabranch-install.conf

# Denies every start and restart of services while packages are configured; a policy that was there is put aside.
forbid_service_starts() {
  [ ! -e "$POLICY_SAVED" ] || fail "\"$POLICY_SAVED\" exists: an earlier run was killed; move it back to \"$POLICY\" or remove it"
  if [ -e "$POLICY" ] || [ -L "$POLICY" ]; then mv "$POLICY" "$POLICY_SAVED"; fi
  printf '#!/bin/sh\n# by anabranch, for the time of one installation\nexit 101\n' > "$POLICY"
  chmod 755 "$POLICY"
}

# Without this, installing the server makes and starts a cluster "main" on port 5432.
forbid_cluster_creation() {
  local settings=/etc/postgresql-common/createcluster.conf
  if [ -e "$settings" ] && ! grep -q "^ *include_dir.*createcluster.d" "$settings"; then
    fail "\"$settings\" does not include \"$CREATECLUSTER\": installing the server could make a cluster \"main\"; install postgresql by hand first"
  fi
  [ -d "$CREATECLUSTER" ] || { mkdir -p "$CREATECLUSTER"; created_directory=1; }
  printf 'create_main_cluster = false\n' > "$DROP_IN"
}

restore_machine() {
  rm -f "$DROP_IN"
  if [ -n "${created_directory:-}" ] && ! dpkg-query -S "$CREATECLUSTER" >/dev/null 2>&1; then
    rmdir --ignore-fail-on-non-empty -p "$CREATECLUSTER" 2>/dev/null || true
  fi
  rm -f "$POLICY"
  if [ -e "$POLICY_SAVED" ] || [ -L "$POLICY_SAVED" ]; then mv "$POLICY_SAVED" "$POLICY"; fi
}

# A server package that is installed would be replaced under its running clusters: refuse instead.
refuse_server_upgrade() { # PACKAGE...
  local upgraded
  pg_lsclusters -h 2>/dev/null | grep -qw online || return 0
  upgraded=$(apt-get install --simulate --no-install-recommends "$@" 2>/dev/null |
    sed -n 's/^Inst \(postgresql-[0-9][0-9]*\) \[.*/\1/p')
  [ -z "$upgraded" ] || fail "apt would upgrade \"$upgraded\"; do that yourself first (its clusters restart): apt-get install $upgraded"
}

install_as_root() { # PACKAGE...
  export DEBIAN_FRONTEND=noninteractive NEEDRESTART_SUSPEND=1
  exec 9> /run/anabranch-install.lock
  flock -w 600 9 || fail "another installation is under way"
  local apt_get=(apt-get -q -o DPkg::Lock::Timeout=300)
  "${apt_get[@]}" update || say "the package lists could not be brought up to date; going on with what is there"
  refuse_server_upgrade "$@"
  trap restore_machine EXIT
  trap 'exit 129' HUP
  trap 'exit 130' INT
  trap 'exit 143' TERM
  forbid_service_starts
  forbid_cluster_creation
  "${apt_get[@]}" install -y --no-install-recommends --no-upgrade "$@" < /dev/null
}

# --- The part that runs as anybody ------------------------------------------------------------------------------

main() {
  case ${1:-} in
    --as-root) shift; install_as_root "$@"; return ;;
    --list) missing_packages "${2:-}"; return ;;
    build|test|demo|kafka) ;;
    *) usage >&2; exit 2 ;;
  esac
  command -v dpkg-query >/dev/null || { say "not a Debian system: the packages that docs/operations.md lists have to be there"; return; }
  local missing
  missing=$(missing_packages "$1" | tr '\n' ' ')
  [ -n "$missing" ] || return 0
  say "Will install, with what they depend on: $missing"
  # shellcheck disable=SC2086  # a list of words
  if [ "$(id -u)" = 0 ]; then
    "$0" --as-root $missing
  elif sudo -n true 2>/dev/null || { command -v sudo >/dev/null && [ -t 0 ]; }; then
    sudo -- bash "$(readlink -f "$0")" --as-root $missing
  else
    fail "neither root nor sudo without a password; have an administrator run: apt-get install $missing"
  fi
  missing=$(missing_packages "$1" | tr '\n' ' ')
  [ -z "$missing" ] || fail "still missing: $missing"
}

main "$@"
