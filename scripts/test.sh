#!/usr/bin/env bash
# Every test, in the order in which they tell most for the least time (`make test`). One line a step, its output when it
# fails, and at the end one line "N passed, N failed". Steps can be named: scripts/test.sh regress e2e
#
#   build      both server libraries and the sidecar, warnings being errors; nothing of the C++ runtime in a backend
#   metadata   one version everywhere; META.json as PGXN wants it; the layout of the C++ files
#   regress    pgTAP and regression tests under pg_regress, and transactions interleaved step by step
#   unit       GoogleTest; with CI set, what fails is repeated once
#   sanitize   the same under ASan, UBSan and TSan, and each fuzzer for FUZZ_SECONDS
#   e2e        a real cluster, a real sidecar, faults injected (test/e2e); with CI set, what fails is repeated once, alone
#
# Everything runs on a private copy of the server in a directory that is removed at the end, however it ends.
set -euo pipefail
cd "$(dirname "$0")/.."
source scripts/cluster.sh
source scripts/job.sh
unset MAKEFLAGS MFLAGS MAKELEVEL PGHOST PGPORT PGUSER PGDATABASE PGPASSWORD PGSERVICE PGOPTIONS
export PGCLIENTENCODING=UTF8

FUZZ_SECONDS=${FUZZ_SECONDS:-10}
passed=0
failed=0

# --- Counting ---------------------------------------------------------------------------------------------------

# step TITLE COUNTER COMMAND...   runs a command; COUNTER reads its output and prints "passed failed".
step() {
  local title=$1 counter=$2 log=$private/step.log began=$SECONDS status=0 ok=0 not_ok=0
  shift 2
  printf '%-52s' "$title"
  run_job "$@" > "$log" 2>&1 || status=$?
  read -r ok not_ok < <("$counter" "$status" < "$log") || true
  [ "$status" = 0 ] || [ "$not_ok" != 0 ] || not_ok=1
  printf '%5d passed, %d failed  (%d s)\n' "$ok" "$not_ok" $((SECONDS - began))
  if [ "$not_ok" != 0 ]; then sed 's/^/    /' "$log" | tail -n 200; fi
  passed=$((passed + ok))
  failed=$((failed + not_ok))
  [ "$not_ok" = 0 ]
}

one() { if [ "$1" = 0 ]; then echo 1 0; else echo 0 1; fi; }
# pg_regress: "test a ... ok" until 15, "ok 1 - a" from 16 on.
regress_counts() { awk '/^(test |     ).* \.\.\. ok|^ok /{p++} /\.\.\. FAILED|^not ok /{f++} END{print p+0, f+0}'; }
ctest_counts() {
  awk '/Test +#[0-9]+:.*\*\*\*/ && !/\*\*\*Skipped/ { sub(/.*Test +#[0-9]+: /, ""); failures = failures "  " $1 }
       /tests failed out of/ { f = $4; n = $9; print n - f, f; found = 1 }
       END { if (!found) print 0, 0; else if (f == 0 && failures) print "flaky, passed when repeated:" failures > "/dev/stderr" }'
}
summary_counts() { awk "/[0-9]+ passed, [0-9]+ failed\$/{p=\$(NF-3); f=\$(NF-1)} END{print p+0, f+0}"; }

# --- Steps ------------------------------------------------------------------------------------------------------

server_libraries() {
  make clean
  make -j"$(nproc)" WERROR=1
  make install
}

no_cxx_runtime() {
  local library
  for library in anabranch.so decoder/anabranch_decoder.so; do
    if nm -D --undefined-only "$library" | grep ' _Z'; then echo "$library needs the C++ runtime"; return 1; fi
  done
}

configure_and_build() { # DIRECTORY [cmake option]...
  local directory=$1
  shift
  cmake -S . -B "$directory" -G Ninja -DANABRANCH_WERROR=ON "$@"
  cmake --build "$directory"
}

regress() {
  scripts/cluster.sh create "$private/regress" fsync=off max_prepared_transactions=10
  PGHOST=$(scripts/cluster.sh socket "$private/regress") PGPORT=5432 PGUSER=postgres make --keep-going regress isolation ||
    { cat tmp_check/regression.diffs tmp_check/isolation/regression.diffs 2> /dev/null; return 1; }
  scripts/cluster.sh destroy "$private/regress"
}

fuzz() { # PROGRAM
  local corpus=$private/corpus/${1##*/}
  mkdir -p "$corpus"
  "$1" -max_total_time="$FUZZ_SECONDS" -rss_limit_mb=1024 -print_final_stats=1 -artifact_prefix="$private/" "$corpus"
}

build_steps() {
  step "server libraries, warnings as errors" one server_libraries
  step "no C++ runtime in the server libraries" one no_cxx_runtime || true
  step "sidecar and unit tests, warnings as errors" one configure_and_build build
}
metadata_steps() { step "metadata" summary_counts scripts/check-metadata.sh || true; }
regress_steps() { step "pg_regress with pgTAP" regress_counts regress || true; }
# An assignment for env; none where a search engine cannot be had.
search_engine() {
  local url status=0
  url=$(scripts/opensearch.sh start "$private/search") || status=$?
  case $status in
    0) printf 'ANABRANCH_TEST_OPENSEARCH=%s\n' "$url" ;;
    69) ;;
    *) return $status ;;
  esac
}
# Those labelled "database" get a cluster and a Redis server of their own, and a search engine in the build that is shipped:
# what sanitizers could find there, they find by the stubs.
unit_tests() { # DIRECTORY [option of ctest]...
  local status=0 directory=$1 redis='' engine=''
  shift
  scripts/cluster.sh create "$private/unit" fsync=off
  redis=$(scripts/redis.sh start "$private/redis" save= appendonly=no) || status=$?
  [ "$directory" != build ] || engine=$(search_engine) || status=$?
  [ "$status" != 0 ] || env ${engine:+"$engine"} \
    ANABRANCH_TEST_CONNINFO="host=$(scripts/cluster.sh socket "$private/unit") port=5432 user=postgres dbname=postgres" \
    ANABRANCH_TEST_REDIS="$redis" ctest --test-dir "$directory" -j"$(($(nproc) + 1))" --output-on-failure "$@" || status=$?
  scripts/redis.sh destroy "$private/redis"
  scripts/opensearch.sh destroy "$private/search"
  scripts/cluster.sh destroy "$private/unit"
  return $status
}

unit_steps() { step "unit tests" ctest_counts unit_tests build ${CI:+--repeat until-pass:2} || true; }
sanitize_steps() {
  local fuzzer
  # Clang for ASan and UBSan: the fuzzers need it, and a second compiler reads the code with other eyes.
  if step "build with ASan and UBSan" one configure_and_build build-asan -DCMAKE_CXX_COMPILER="$(compgen -c clang++- | sort -V | tail -n 1)" \
    -DANABRANCH_SANITIZE=address,undefined -DANABRANCH_FUZZ=ON; then
    step "unit tests under ASan and UBSan" ctest_counts unit_tests build-asan || true
    for fuzzer in build-asan/*_fuzz; do
      [ ! -x "$fuzzer" ] || step "${fuzzer##*/} for $FUZZ_SECONDS s" one fuzz "$fuzzer" || true
    done
  fi
  # GCC guesses at what may be uninitialized, and guesses wrong in code that is instrumented: its warnings are errors in the
  # build that is shipped.
  if step "build with TSan" one configure_and_build build-tsan -DANABRANCH_SANITIZE=thread -DANABRANCH_WERROR=OFF; then
    step "unit tests under TSan" ctest_counts unit_tests build-tsan || true
  fi
}
e2e_steps() {
  echo "end to end:"
  run_job test/e2e/run ${CI:+--repeat} --private "$private" > >(tee "$private/e2e.log") || true
  read -r ok not_ok < <(summary_counts < "$private/e2e.log")
  [ "$((ok + not_ok))" != 0 ] || not_ok=1
  passed=$((passed + ok))
  failed=$((failed + not_ok))
}

finish() {
  local status=$?
  trap - EXIT
  end_job
  wait
  remove "$private"
  [ "$status" = 0 ] || [ "$failed" != 0 ] || failed=1
  printf '\n%d passed, %d failed\n' "$passed" "$failed" >&3  # a trap may come while a step's output is redirected
  [ "$failed" = 0 ] || exit 1
  exit 0
}

exec 3>&1
private=$(private_directory)
trap finish EXIT
trap 'exit 129' HUP
trap 'exit 130' INT
trap 'exit 143' TERM
PG_CONFIG=$(private_server "$private")
export PG_CONFIG
PATH=${PG_CONFIG%/*}:$PATH

build_steps
[ $# -gt 0 ] || set -- metadata regress unit sanitize e2e
for name in "$@"; do [ "$name" = build ] || "${name}_steps"; done
