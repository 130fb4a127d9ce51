#!/bin/sh
# What /etc/init.d/broker and /etc/init.d/functions do. They set `name` and `prefix`, read the functions of the LSB, and
# call `act`. The exit codes are those of the LSB.
set -u
: "${name:?}" "${prefix:?}"

user=postern
state=/var/lib/postern
pid_file=/run/$name.pid
sign_file=$state/$name.alive
log=/var/log/postern/$name.log
guard=$prefix/infra/init.d/guard.sh
max_failures=5
start_within_s=90
stop_within_s=20

if [ -r "/etc/default/$name" ]; then
  set -a
  # shellcheck source=/dev/null
  . "/etc/default/$name"
  set +a
fi

# 0 running, 1 dead and its pid file is there, 3 not running.
status() {
  [ -e "$pid_file" ] || return 3
  kill -0 "$(cat "$pid_file")" 2>/dev/null || return 1
}

start() {
  status && return 0
  install -d -o "$user" -g "$user" -m 0750 "$state"
  install -d -o "$user" -g adm -m 0750 /var/log/postern
  # Made here, or root would own it.
  [ -e "$log" ] || install -o "$user" -g adm -m 0640 /dev/null "$log"
  rm -f "$sign_file" "$pid_file"
  start-stop-daemon --start --quiet --background --make-pidfile --pidfile "$pid_file" --chuid "$user:$user" \
    --chdir "$state" --umask 077 --output "$log" --startas "$guard" -- "$sign_file" "$max_failures" "$@" || return 1
  # It is up when it says so, not when there is a process.
  tries=$((start_within_s * 10))
  while [ ! -e "$sign_file" ]; do
    tries=$((tries - 1))
    # Where it has given up, the pid file stays and tells so.
    status || return 1
    if [ "$tries" -eq 0 ]; then
      stop
      return 1
    fi
    sleep 0.1
  done
}

stop() {
  if status; then
    start-stop-daemon --stop --quiet --pidfile "$pid_file" --user "$user" --retry "TERM/$stop_within_s/KILL/5" || return 1
  fi
  rm -f "$pid_file" "$sign_file"
}

restart() {
  stop && start "$@"
}

reload() {
  status || return 7
  kill -HUP "$(cat "$pid_file")"
}

tell_status() {
  status
  code=$?
  case $code in
    0) echo "$name is running" ;;
    1) echo "$name is dead, and $pid_file is there" ;;
    *) echo "$name is not running" ;;
  esac
  exit "$code"
}

# Does the action for the program that follows, with its arguments, and ends with the action's exit code.
act() {
  action=$1
  shift
  [ "$action" != status ] || tell_status
  if [ "$(id -u)" -ne 0 ]; then
    log_failure_msg "only root can $action $name"
    exit 4
  fi
  if [ ! -x "$1" ]; then
    log_failure_msg "$1 is not installed"
    exit 5
  fi
  case $action in
    start) log_daemon_msg "Starting Postern" "$name" && start "$@" ;;
    stop) log_daemon_msg "Stopping Postern" "$name" && stop ;;
    restart) log_daemon_msg "Restarting Postern" "$name" && restart "$@" ;;
    try-restart)
      status || exit 0
      log_daemon_msg "Restarting Postern" "$name" && restart "$@"
      ;;
    reload | force-reload) log_daemon_msg "Reloading Postern" "$name" && reload ;;
  esac
  code=$?
  log_end_msg "$code"
  [ "$code" -eq 0 ] || echo "The reason may stand in $log." >&2
  exit "$code"
}
