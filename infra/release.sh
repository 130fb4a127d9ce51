#!/bin/sh
# Takes a release of Postern into use on this machine, and goes back to the one before when it does not become healthy.
# infra/deploy.sh runs it at the far side, as root:
#
#   release.sh [--dry-run] [--keep N] [--wait SECONDS] [--manager NAME] RELEASE SHA256 TARBALL
#
# A release is <version>-<the first eight digits of its tarball's SHA-256>. It lies in /opt/postern/releases, and
# /opt/postern/current is the one in use. Exit codes: 0 it runs, 1 it does not and nothing has changed, 2 wrong use.
set -eu

root=/opt/postern
releases=$root/releases
current=$root/current
config=/etc/postern/broker.config.jsonc
services='broker functions'

# A program that ends soon after its start is not taken for a healthy one.
healthy_for_s=3

say() { echo "postern: $*"; }

die() {
  echo "postern: $*" >&2
  exit 1
}

misused() {
  echo "release.sh: $*" >&2
  exit 2
}

# It comes through a pipe and is read to its end before it begins.
main() {
  is_dry=
  keep=3
  healthy_within_s=60
  manager=
  while [ $# -gt 3 ]; do
    case $1 in
      --dry-run) is_dry=1 && shift ;;
      --keep) keep=$2 && shift 2 ;;
      --wait) healthy_within_s=$2 && shift 2 ;;
      --manager) manager=$2 && shift 2 ;;
      *) misused "$1 is not known." ;;
    esac
  done
  [ $# -eq 3 ] || misused "RELEASE, SHA256 and TARBALL are needed."
  assert_number --keep "$keep"
  assert_number --wait "$healthy_within_s"
  release=$1 sum=$2 tarball=$3
  new=$releases/$release
  [ "$(id -u)" -eq 0 ] || die "only root can do that."
  [ -n "$manager" ] || manager=$(detect_manager)
  case $manager in
    systemd | sysvinit | supervisor) ;;
    *) misused "--manager is $manager: allowed is systemd, sysvinit or supervisor." ;;
  esac
  refuse_package
  previous=$(readlink "$current" || true)
  previous=${previous##*/}
  if [ -n "$is_dry" ]; then
    tell_plan
    return
  fi

  # The connection may break. What has begun is brought to its end, whoever listens.
  trap '' HUP PIPE
  mkdir -p "$releases"
  lock
  trap 'rm -rf "$releases"/.incoming.*' EXIT
  unpack
  check_config
  # What an administrator has disabled stays so.
  wanted=$(wanted_services)
  if [ "$previous" = "$release" ] && is_healthy "$new"; then
    install_services "$new" || die "the service files could not be written."
    say "$release is in use already, and healthy."
    return
  fi
  if take_into_use "$release"; then
    prune
    say "$release is in use."
    return
  fi
  go_back
  exit 1
}

assert_number() {
  case $2 in '' | *[!0-9]* | 0*) misused "$1 is \"$2\": allowed is a whole number from 1." ;; esac
}

detect_manager() {
  if [ -d /run/systemd/system ]; then
    echo systemd
  elif [ "$(cat /proc/1/comm)" = init ]; then
    echo sysvinit
  elif [ "$(cat /proc/1/comm)" = supervisord ] || [ -e /run/supervisor.sock ] || [ -e /run/supervisord.pid ]; then
    echo supervisor
  else
    die "nothing runs here that keeps services running: say it with --manager systemd|sysvinit|supervisor."
  fi
}

refuse_package() {
  command -v dpkg-query >/dev/null || return 0
  case $(dpkg-query --show --showformat '${db:Status-Status}' postern 2>/dev/null || true) in
    installed) die "the package postern is installed here. Upgrade it with apt, or remove it first." ;;
  esac
}

tell_plan() {
  say "$manager keeps the services running; in use is ${previous:-no release}."
  if [ -e "$root/.lock" ] && ! flock --nonblock "$root/.lock" true; then
    say "another deploy is under way: $(cat "$root/.lock")"
  fi
  if [ ! -d "$new" ]; then say "would check the SHA-256 and unpack to $new"; fi
  say "would check $config with it"
  say "would point $current to $release, write the service files and restart: $services"
  say "would wait up to $healthy_within_s s until it is healthy; else back to ${previous:-nothing}"
  say "would keep the newest $keep releases"
}

# Held until this process ends, however it ends. Whatever it starts has to let go of it: a service would keep it.
lock() {
  exec 9>>"$root/.lock"
  flock --nonblock 9 || die "another deploy is under way: $(cat "$root/.lock")"
  echo "$release since $(date '+%F %T %Z'), process $$" >"$root/.lock"
}

unpack() {
  [ ! -d "$new" ] || return 0
  echo "$sum  $tarball" | sha256sum --check --status || die "the tarball is not the one that was sent: its SHA-256 differs."
  incoming=$(mktemp -d "$releases/.incoming.XXXXXX")
  chmod 0755 "$incoming"
  tar -xzf "$tarball" -C "$incoming" --strip-components=1 --no-same-owner || die "the tarball cannot be unpacked."
  [ -x "$incoming/bin/broker" ] || die "the tarball has no bin/broker."
  # A release is there as a whole or not at all.
  mv -T "$incoming" "$new"
  say "unpacked $release"
}

# As the service would read them: its variables, its file, its user.
check_config() {
  file=$config
  [ -e "$file" ] || file=$new/infra/server.config.jsonc
  as=
  ! id -u postern >/dev/null 2>&1 || as='runuser -u postern --'
  # $as is words.
  # shellcheck disable=SC2086
  told=$(
    exec 2>&1
    read_defaults broker
    POSTERN_CONFIG=${POSTERN_CONFIG:-$file} POSTERN_DATA=${POSTERN_DATA:-/var/lib/postern}
    export POSTERN_CONFIG POSTERN_DATA
    cd / && exec $as "$new/bin/broker" check
  ) || {
    echo "$told" >&2
    # The one in use stays, also when it is deployed once more.
    [ "$previous" = "$release" ] || rm -rf "$new"
    die "$release does not take the settings of this machine. Nothing has changed."
  }
}

# The settings of a service, for this shell and what it starts.
read_defaults() {
  [ -r "/etc/default/$1" ] || return 0
  set -a
  # shellcheck source=/dev/null
  . "/etc/default/$1"
  set +a
}

wanted_services() {
  for service in $services; do
    if [ -z "$previous" ] || is_wanted "$service"; then printf '%s ' "$service"; fi
  done
}

is_wanted() {
  case $manager in
    systemd) systemctl --quiet is-enabled "$1.service" 2>/dev/null || systemctl --quiet is-active "$1.service" ;;
    sysvinit) ls /etc/rc2.d/S??"$1" >/dev/null 2>&1 || service "$1" status >/dev/null 2>&1 ;;
    supervisor) ! supervisorctl status "$1" 2>/dev/null | grep -Eq 'STOPPED|no such' ;;
  esac
}

# Switches to a release, restarts, and tells whether it becomes healthy.
take_into_use() {
  ln -sfn "releases/$1" "$current.next"
  mv -T "$current.next" "$current"
  # Releases are kept by when they were last taken into use.
  touch "$releases/$1"
  install_services "$releases/$1" || return 1
  for service in $wanted; do
    say "restarting $service"
    if ! restart_service "$service"; then
      say "$service does not start."
      return 1
    fi
  done
  becomes_healthy "$releases/$1"
}

install_services() {
  "$1/bin/broker" install --prefix "$current" --manager "$manager" >/dev/null 9>&-
}

restart_service() {
  case $manager in
    systemd)
      # One that has failed too often would not be started again.
      systemctl reset-failed "$1.service" 2>/dev/null || true
      systemctl restart "$1.service" 9>&-
      ;;
    sysvinit) service "$1" restart >/dev/null 2>&1 </dev/null 9>&- ;;
    supervisor)
      supervisorctl reread >/dev/null && supervisorctl update "$1" >/dev/null && supervisorctl restart "$1" >/dev/null
      ;;
  esac
}

stop_service() {
  case $manager in
    systemd) systemctl stop "$1.service" ;;
    sysvinit) service "$1" stop >/dev/null 2>&1 ;;
    supervisor) supervisorctl stop "$1" >/dev/null ;;
  esac
}

becomes_healthy() {
  until_s=$(($(date +%s) + healthy_within_s))
  while [ "$(date +%s)" -lt "$until_s" ]; do
    before=$(running)
    if is_healthy "$1"; then
      sleep "$healthy_for_s"
      # The same processes: none of them has ended meanwhile.
      if [ "$(running)" = "$before" ] && is_healthy "$1"; then return 0; fi
    fi
    sleep 1
  done
  say "it is not healthy after $healthy_within_s s."
  return 1
}

# Whether each service runs from this release, and answers.
is_healthy() {
  for service in $wanted; do
    programs=$(programs_of "$service")
    [ -n "$programs" ] && ! echo "$programs" | grep -Fqv " $1/" && "is_${service}_healthy" "$1" || return 1
  done
}

running() {
  for service in $wanted; do programs_of "$service"; done
}

# The programs that a service consists of, a line each: the process and its file. The manager may have started a guard.
programs_of() {
  case $manager in
    systemd) main_pid=$(systemctl show --property MainPID --value "$1.service") ;;
    sysvinit) main_pid=$(cat "/run/$1.pid" 2>/dev/null || echo 0) ;;
    supervisor) main_pid=$(supervisorctl pid "$1") ;;
  esac
  [ -d "/proc/$main_pid" ] || return 0
  for pid in "$main_pid" $(cat "/proc/$main_pid/task/$main_pid/children" 2>/dev/null); do
    exe=$(readlink "/proc/$pid/exe" || true)
    case $exe in "$releases"/*) echo "$pid $exe" ;; esac
  done
}

is_broker_healthy() {
  (
    read_defaults broker
    cd / && exec "$1/bin/broker" status --json
  ) >/dev/null 2>&1 9>&-
}

is_functions_healthy() {
  (
    read_defaults functions
    # The program for Node is not the shell's.
    # shellcheck disable=SC2016
    exec "$1/bin/node" --eval '
      const names = { "0.0.0.0": "127.0.0.1", "::": "[::1]" }
      const { HOST = "127.0.0.1", PORT = "3000" } = process.env
      const host = names[HOST] ?? (HOST.includes(":") ? `[${HOST}]` : HOST)
      fetch(`http://${host}:${PORT}/health/ready`, { signal: AbortSignal.timeout(5000) })
        .then(answer => process.exit(answer.ok ? 0 : 1), () => process.exit(1))'
  ) >/dev/null 2>&1 9>&-
}

# Gives back what was there before.
go_back() {
  tell_log
  if [ -z "$previous" ] || [ "$previous" = "$release" ]; then
    give_up
    return
  fi
  say "$release does not run: back to $previous."
  if ! take_into_use "$previous"; then
    rm -rf "$new"
    die "$previous does not run any more either. Nothing is left to go back to: look at the log."
  fi
  # Before anything is pruned by its age: this is the newest.
  rm -rf "$new"
  prune
  say "$previous is in use again."
}

# There is no other release.
give_up() {
  for service in $wanted; do stop_service "$service" || true; done
  if [ "$previous" = "$release" ]; then
    say "$release does not run any more, and there is no other one to go back to."
    return
  fi
  sh "$new/infra/uninstall.sh" >/dev/null 9>&- || true
  say "$release does not run, and is gone again. Its settings are in /etc/postern."
}

tell_log() {
  {
    for service in $wanted; do
      echo "--- the log of $service"
      if [ "$manager" = systemd ]; then
        journalctl --unit "$service" --lines 15 --no-pager --output cat
      else
        tail -n 15 "/var/log/postern/$service.log"
      fi
    done
  } >&2 2>/dev/null || true
}

# The newest are kept, and whatever still runs.
prune() {
  find "$releases" -mindepth 1 -maxdepth 1 -type d -printf '%T@ %f\n' | sort -rn | tail -n "+$((keep + 1))" |
    while read -r _ name; do
      if [ "$releases/$name" != "$(readlink -f "$current")" ] && ! is_running_from "$releases/$name"; then
        rm -rf "${releases:?}/$name"
        say "removed $name"
      fi
    done
}

is_running_from() {
  for exe in /proc/[0-9]*/exe; do
    case $(readlink "$exe" 2>/dev/null) in "$1"/*) return 0 ;; esac
  done
  return 1
}

main "$@"
