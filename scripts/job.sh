# shellcheck shell=bash
# One command at a time that a trap does not wait for, and that ends with its caller. Sourced.

job=

# Runs a command in a process group of its own, so that it can be ended with all its children. In the background, since
# neither traps nor `set -e` inside the command would work otherwise.
run_job() { # COMMAND...
  local status=0
  set -m
  ("$@") < /dev/null &
  job=$!
  set +m
  wait "$job" || status=$?
  job=
  return $status
}

# Ends it with all its children, if it runs, and waits until it is gone.
end_job() {
  [ -n "$job" ] || return 0
  kill -TERM -- "-$job" 2> /dev/null || true
  wait "$job" 2> /dev/null || true
  job=
}
