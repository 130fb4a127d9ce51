#!/bin/sh
# Installs what the tests of test/ops need from the system, on Debian. Needs root. Does nothing when it is all there.
set -eu

has() { command -v "$1" >/dev/null 2>&1; }

missing=
has systemd-nspawn || missing="$missing systemd-container"
has systemd-analyze || missing="$missing systemd"
has mmdebstrap || missing="$missing mmdebstrap"
has dpkg-deb || missing="$missing dpkg"
has xz || missing="$missing xz-utils"
has lintian || missing="$missing lintian"
has shellcheck || missing="$missing shellcheck"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" -ne 0 ]; then
  echo "install-ops-debian.sh: only root can install:$missing" >&2
  exit 1
fi
export DEBIAN_FRONTEND=noninteractive
apt-get update
# Split into names on purpose.
# shellcheck disable=SC2086
apt-get -o DPkg::Lock::Timeout=300 install --yes --no-install-recommends $missing
