#!/bin/sh
# Removes from this machine what infra/deploy.sh or `broker install` has put there. As root, or over ssh:
#   ssh root@server sh -s < infra/uninstall.sh
set -eu

usage() {
  cat <<'TEXT'
Usage: infra/uninstall.sh [--purge] [--dry-run]

  --purge    removes the messages, the settings, the logs and the user too
  --dry-run  says what it would remove

Without --purge these stay: /var/lib/postern, /etc/postern, /etc/default/{broker,functions}, /var/log/postern.
What is installed as a package is removed with apt.
TEXT
}

# The user is removed last, so that nothing is left that belongs to nobody.
main() {
  is_purge=
  is_dry=
  for word; do
    case $word in
      --purge) is_purge=1 ;;
      --dry-run) is_dry=1 ;;
      --help) usage && exit 0 ;;
      *) echo "uninstall.sh: $word is not known. Try --help." >&2 && exit 2 ;;
    esac
  done
  if [ -z "$is_dry" ] && [ "$(id -u)" -ne 0 ]; then
    echo "uninstall.sh: only root can do that." >&2
    exit 1
  fi
  if is_package; then
    echo "uninstall.sh: the package postern is installed here. Remove it with: apt remove postern" >&2
    exit 1
  fi
  # The functions first, so that their clients hear of the end before the broker is gone.
  for service in functions broker; do remove_service "$service"; done
  remove /etc/logrotate.d/postern
  remove /opt/postern
  [ -n "$is_purge" ] || return 0
  for path in /var/lib/postern /etc/postern /var/log/postern /etc/default/broker /etc/default/functions; do
    remove "$path"
  done
  if id -u postern >/dev/null 2>&1; then run userdel postern; fi
}

is_package() {
  command -v dpkg-query >/dev/null || return 1
  [ "$(dpkg-query --show --showformat '${db:Status-Status}' postern 2>/dev/null || true)" = installed ]
}

remove_service() {
  if is_ours "/etc/systemd/system/$1.service"; then
    if [ -d /run/systemd/system ]; then run systemctl stop "$1.service"; fi
    run systemctl disable --quiet "$1.service"
    remove "/etc/systemd/system/$1.service"
    remove "/etc/systemd/system/$1.service.d"
    if [ -d /run/systemd/system ]; then
      run systemctl daemon-reload
      run systemctl reset-failed "$1.service"
    fi
  fi
  if is_ours "/etc/init.d/$1"; then
    run "/etc/init.d/$1" stop
    remove "/etc/init.d/$1"
    run update-rc.d "$1" remove
  fi
  if is_ours "/etc/supervisor/conf.d/$1.conf"; then
    remove "/etc/supervisor/conf.d/$1.conf"
    # Stops what is not in its files any more.
    if command -v supervisorctl >/dev/null; then run supervisorctl update "$1"; fi
  fi
}

# Another program may have a service of the same name.
is_ours() {
  [ -e "$1" ] && grep -qi postern "$1"
}

remove() {
  [ ! -e "$1" ] || run rm -rf "$1"
}

# What cannot be done does not keep the rest from being done.
run() {
  echo "$*"
  [ -n "$is_dry" ] || "$@" >/dev/null 2>&1 </dev/null || echo "uninstall.sh: it has failed: $*" >&2
}

main "$@"
