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
has openssl || missing="$missing openssl"
[ -x /usr/sbin/nginx ] || has nginx || missing="$missing nginx"
has caddy || missing="$missing caddy"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-debian.sh: only root can install:$missing" >&2
  exit 1
fi
# The tests start what they need themselves. Debian would start it as services, on ports that may be somebody else's.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  trap 'rm -f "$policy"' EXIT
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
fi

export DEBIAN_FRONTEND=noninteractive
apt-get update
# Split into names on purpose.
# shellcheck disable=SC2086
apt-get install --yes --no-install-recommends $missing
