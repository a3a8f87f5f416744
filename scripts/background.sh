# shellcheck shell=bash
# Servers of tests and benchmarks, each with a directory of its own: what is left of a process that has none. Sourced.

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
    process_of "$file" "$argument" > /dev/null && [ "$SECONDS" -lt "$deadline" ] || return 1
    sleep 0.1
  done
}

# The settings of a Java program that logs by log4j: to its output, each line with its time.
log4j_properties() {
  printf '%s\n' 'log4j.rootLogger=INFO, out' 'log4j.appender.out=org.apache.log4j.ConsoleAppender' \
    'log4j.appender.out.layout=org.apache.log4j.PatternLayout' \
    'log4j.appender.out.layout.ConversionPattern=%d{ISO8601} %p %m (%c)%n'
}
