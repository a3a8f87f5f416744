# shellcheck shell=bash
# Servers of tests and benchmarks, each with a directory of its own: their processes, and all that a script for a server of one
# process has to do but for what is peculiar to it. Sourced.

# Ports are kept over restarts, so they lie where the kernel gives none to connections that go out.
readonly PORT_FIRST=20000 PORT_LAST=31999
readonly STOP_SECONDS=30

# A port of 127.0.0.1 where nobody listens now, and none of those given.
# shellcheck disable=SC2120
free_port() { # [PORT]...
  local port
  for _ in $(seq 200); do
    port=$((PORT_FIRST + (RANDOM * 32768 + RANDOM) % (PORT_LAST - PORT_FIRST + 1)))
    case " $* " in *" $port "*) continue ;; esac
    (exec 3<> "/dev/tcp/127.0.0.1/$port") 2> /dev/null || { printf '%s\n' "$port"; return; }
  done
  echo "no free port between $PORT_FIRST and $PORT_LAST" >&2
  return 1
}

# Whether that process has this among its arguments: a number alone may be somebody else's by now. A zombie, where nobody
# collects orphans, is not alive.
process_alive() { # PID ARGUMENT
  tr '\0' '\n' 2> /dev/null < "/proc/$1/cmdline" | grep -xF -- "$2" > /dev/null && ! grep -q '^State:.Z' "/proc/$1/status" 2> /dev/null
}

# The process that FILE names, if it lives.
process_of() { # FILE ARGUMENT
  local pid
  pid=$(cat "$1" 2> /dev/null) && process_alive "$pid" "$2" && printf '%s\n' "$pid"
}

# Starts it in a session of its own: it outlives the caller, and the caller's terminal does not interrupt it.
start_process() { # FILE LOG COMMAND...
  local file=$1 log=$2
  shift 2
  setsid "$@" >> "$log" 2>&1 < /dev/null &
  echo $! > "$file"
  # Until it has become what it is to be, its arguments are ours.
  while cmp -s "/proc/$$/cmdline" "/proc/$!/cmdline"; do sleep 0.01; done
  disown $!
}

# Sends the signal and waits until the process is gone, then removes FILE; 1 when it is not. A halted process hears of
# nothing but SIGKILL.
end_process() { # SIGNAL FILE ARGUMENT
  local pid waited=0
  pid=$(process_of "$2" "$3") || return 0
  kill "-$1" "$pid" 2> /dev/null || true
  [ "$1" = KILL ] || kill -CONT "$pid" 2> /dev/null || true
  while process_alive "$pid" "$3"; do
    [ $((waited += 1)) -le $((STOP_SECONDS * 20)) ] || return 1
    sleep 0.05
  done
  rm -f "$2"
}

# Waits until "ANSWERS..." succeeds; 1 when the process is gone before that, or does not come to it in so many seconds.
wait_for_process() { # SECONDS FILE ARGUMENT ANSWERS...
  local deadline=$((SECONDS + $1)) file=$2 argument=$3
  shift 3
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || return 1
    # Looked for twice: while a process becomes another program it has no arguments.
    process_of "$file" "$argument" > /dev/null || { sleep 0.1 && process_of "$file" "$argument" > /dev/null; } || return 1
    sleep 0.1
  done
}

# The first line that is answered to TEXT, in a shell of its own, which a refused connection ends.
first_line() ( # PORT SECONDS TEXT
  { exec 3<> "/dev/tcp/127.0.0.1/$1" && printf '%s' "$3" >&3 && timeout "$2" head -n 1 <&3; } 2> /dev/null
)

# Whether a GET succeeds.
http_answers() { # PORT SECONDS PATH
  local line
  line=$(first_line "$1" "$2" "GET $3 HTTP/1.0"$'\r\nHost: 127.0.0.1\r\n\r\n') || return 1
  [[ $line == HTTP/1.?\ 200* ]]
}

# The settings of a Java program that logs by log4j: to its output, each line with its time.
log4j_properties() {
  printf '%s\n' 'log4j.rootLogger=INFO, out' 'log4j.appender.out=org.apache.log4j.ConsoleAppender' \
    'log4j.appender.out.layout=org.apache.log4j.PatternLayout' \
    'log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n'
}

# --- A script for a server of one process -----------------------------------------------------------------------
#
# It says what messages call the server (SERVER), what status calls its address (ADDRESS) and how long a start may take
# (START_SECONDS), and defines:
#
#   say TEXT, usage       a message; how the script is called, with exit code 2
#   start DIR [ARGUMENT]...   makes what is missing in DIR, then server_start
#   exists DIR            whether a server was made there
#   argument DIR          what its process, and no other, has among its arguments
#   address DIR, answers DIR  where it is reached, and whether it can be

# Settings are for a server that "configure DIR SETTING..." makes; one that has FILE keeps those it has.
server_configure() { # FILE DIR [SETTING=VALUE]...
  local file=$1
  shift
  if [ ! -e "$file" ]; then
    configure "$@"
  elif [ $# -gt 1 ]; then
    say "there is a $SERVER in \"$1\": settings are for a new one"
    return 2
  fi
}

# Starts it by "LAUNCH...", unless it runs; waits until it answers; prints its address.
server_start() { # DIR LAUNCH...
  local directory=$1
  shift
  process_of "$directory/pid" "$(argument "$directory")" > /dev/null || "$@"
  if ! wait_for_process "$START_SECONDS" "$directory/pid" "$(argument "$directory")" answers "$directory"; then
    tail -n 20 "$directory/log" >&2
    say "the $SERVER in \"$directory\" did not start (its log is above)"
    return 1
  fi
  address "$directory"
}

server_exists() { # DIR
  exists "$1" || { say "there is no $SERVER in \"$1\""; return 1; }
}

server_end() { # SIGNAL DIR
  server_exists "$2" || return
  end_process "$1" "$2/pid" "$(argument "$2")" || end_process KILL "$2/pid" "$(argument "$2")"
}

server_status() { # DIR
  local pid
  server_exists "$1" || return
  if pid=$(process_of "$1/pid" "$(argument "$1")"); then
    printf 'state=%s pid=%s %s=%s\n' "$(answers "$1" && echo running || echo silent)" "$pid" "$ADDRESS" "$(address "$1")"
  else
    printf 'state=stopped %s=%s\n' "$ADDRESS" "$(address "$1")"
    return 3
  fi
}

# What the script is called with.
server_command() { # COMMAND DIR [ARGUMENT]...
  local command=${1:-} directory
  [ -n "${2:-}" ] || usage
  directory=$(readlink -m "$2")
  shift 2
  case $command in
    start) start "$directory" "$@" ;;
    status) server_status "$directory" ;;
    stop) server_end TERM "$directory" ;;
    kill) server_end KILL "$directory" ;;
    destroy) ! exists "$directory" || { server_end KILL "$directory"; rm -rf "$directory"; } ;;
    *) usage ;;
  esac
}
