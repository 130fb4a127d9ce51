#!/bin/sh
# Does for a program what systemd would: runs it again when it ends with a failure, kills it when it gives no sign of life
# for too long, and gives up when it fails too often. TERM and INT stop both, HUP goes to the program.
#
#   guard.sh SIGN FAILURES PROGRAM [ARGUMENT]...
#
# SIGN is a file that is there when the program is up, and is touched with each sign of life. FAILURES within a minute are
# too many; 0 leaves it to another manager to run the program again. Ends with the program's exit code.
set -u

sign=$1
max_failures=$2
shift 2
folder=$(dirname "$(readlink -f "$0")")

timeout_s=20
within_s=60
retry_s=0.1
stop_within_s=15

# The program speaks to systemd through systemd-notify. The one in this folder writes the sign instead.
export NOTIFY_SOCKET="$sign" WATCHDOG_USEC="${timeout_s}000000" PATH="$folder/notify:$PATH"
unset WATCHDOG_PID

program=
watcher=
killer=
is_stopping=

# In a process of its own, which a TERM ends with what it waits for.
in_background() {
  (
    nap=
    trap 'kill "$nap" 2>/dev/null; exit 0' TERM
    trap '' HUP INT
    # A TERM that came before the trap is lost. It comes when the program has ended.
    kill -0 "$program" 2>/dev/null || exit 0
    "$@"
  ) &
}

pause() {
  sleep "$1" &
  nap=$!
  wait "$nap"
}

# Kills the program when it has shown no sign since the last look.
watch() {
  last=
  while :; do
    pause "$timeout_s"
    # Until it is up it may take as long as it needs.
    [ -e "$sign" ] || continue
    now=$(stat -c %y "$sign")
    if [ "$now" = "$last" ]; then
      echo "guard: no sign of life for $timeout_s s, killed: $*" >&2
      kill -KILL "$program" 2>/dev/null
    fi
    last=$now
  done
}

kill_late() {
  pause "$stop_within_s"
  kill -KILL "$program" 2>/dev/null
}

stop_program() {
  [ -z "$is_stopping" ] || return 0
  is_stopping=1
  [ -n "$program" ] || exit 0
  kill -TERM "$program" 2>/dev/null
  in_background kill_late
  killer=$!
}
trap stop_program TERM INT
trap '[ -z "$program" ] || kill -HUP "$program" 2>/dev/null' HUP

# A signal to this shell ends `wait` early.
wait_for_program() {
  while :; do
    wait "$program"
    code=$?
    kill -0 "$program" 2>/dev/null || return
  done
}

failures=0
first_s=0
while :; do
  rm -f "$sign"
  # Whatever ends this shell ends the program too: nobody else knows of it.
  setpriv --pdeathsig TERM -- "$@" &
  program=$!
  in_background watch "$@"
  watcher=$!
  wait_for_program
  for helper in $watcher $killer; do
    kill "$helper" 2>/dev/null
    wait "$helper"
  done
  rm -f "$sign"
  [ -z "$is_stopping" ] || exit 0
  # 2: a setting is wrong, which trying again does not mend.
  if [ "$code" -eq 0 ] || [ "$code" -eq 2 ] || [ "$max_failures" -eq 0 ]; then exit "$code"; fi
  now_s=$(date +%s)
  if [ $((now_s - first_s)) -gt "$within_s" ]; then
    first_s=$now_s
    failures=0
  fi
  failures=$((failures + 1))
  echo "guard: ended with $code, failure $failures of $max_failures within $within_s s: $*" >&2
  if [ "$failures" -ge "$max_failures" ]; then exit "$code"; fi
  sleep "$retry_s"
  [ -z "$is_stopping" ] || exit 0
done
