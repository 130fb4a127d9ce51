#!/bin/sh
# Installs what the benchmark is compared with, and what its programs in C are built with, on Debian. Needs root.
# Does nothing when it is all there; without it the rows concerned are left out, and said to be.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

missing=
has cc || missing="$missing gcc libc6-dev"
[ -e /usr/include/zmq.h ] || missing="$missing libzmq3-dev"
[ -x /usr/sbin/nginx ] || missing="$missing nginx"
[ -e /usr/lib/nginx/modules/ngx_nchan_module.so ] || missing="$missing libnginx-mod-nchan"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-bench-debian.sh: only root can install:$missing" >&2
  exit 1
fi

# The benchmark starts nginx itself. Debian would start it as a service, on a port that may be somebody else's.
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
