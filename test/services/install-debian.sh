#!/bin/sh
# Installs what the tests need from the system, on Debian. Needs root. Does nothing when it is all there.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

missing=
[ -x "${CHROMIUM:-}" ] || has chromium || has chromium-browser || has google-chrome || missing="$missing chromium"
# Without any font a browser draws no text.
has fc-list && [ -n "$(fc-list)" ] || missing="$missing fontconfig fonts-dejavu-core"
has php || missing="$missing php-cli"
has curl || missing="$missing curl"
has strace || missing="$missing strace"
[ -x /usr/sbin/mariadbd ] || has mariadbd || missing="$missing mariadb-server"
perl -MMojo::UserAgent -e 1 2>/dev/null || missing="$missing libmojolicious-perl"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-debian.sh: only root can install:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
# Split into names on purpose.
# shellcheck disable=SC2086
apt-get install --yes --no-install-recommends $missing
