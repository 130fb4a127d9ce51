#!/bin/sh
# Brings a release of Postern to a server and takes it into use there; goes back to the one before when it is not healthy.
# The server needs ssh, and root: the user itself, or sudo without a password.
set -eu

usage() {
  cat <<'TEXT'
Usage: infra/deploy.sh [OPTION]... HOST [TARBALL]

  HOST             as ssh takes it: user@server
  TARBALL          made by npm run package (dist/packages/postern-<version>-linux-<architecture>.tar.gz)
  --dry-run        says what it would do, and changes nothing
  --keep N         releases that stay on the server, the one in use among them (3)
  --wait SECONDS   how long it may take until it is healthy (60)
  --manager NAME   systemd, sysvinit or supervisor (what runs there)
  --ssh COMMAND    instead of ssh, such as "ssh -p 2222"
  --help           this text

Example: npm run package && infra/deploy.sh root@postern.example

Settings stay on the server, in /etc/postern and /etc/default. One deploy at a time: a second one is refused.
Exit codes: 0 it runs there, 1 it does not and what ran before runs on, 2 used wrongly.
TEXT
}

die() {
  echo "deploy.sh: $*" >&2
  exit 1
}

misused() {
  echo "deploy.sh: $* Try --help." >&2
  exit 2
}

here=$(dirname "$0")
ssh=ssh
options=
is_dry=
while [ $# -gt 0 ]; do
  case $1 in
    --help) usage && exit 0 ;;
    --dry-run) is_dry=1 options="$options --dry-run" && shift ;;
    --keep | --wait | --manager)
      case ${2:-} in '' | *[!a-z0-9]*) misused "$1 is \"${2:-}\"." ;; esac
      options="$options $1 $2" && shift 2
      ;;
    --ssh)
      ssh=${2:-}
      [ -n "$ssh" ] || misused "--ssh needs a command."
      shift 2
      ;;
    -*) misused "$1 is not known." ;;
    *) break ;;
  esac
done
if [ $# -lt 1 ] || [ $# -gt 2 ]; then misused "HOST is needed, and at most a TARBALL."; fi
host=$1
if [ $# -eq 1 ]; then
  set -- "$host" "$here"/../dist/packages/postern-*-linux-*.tar.gz
  [ $# -eq 2 ] || misused "There are several tarballs in dist/packages: name one."
fi
tarball=$2
[ -r "$tarball" ] || die "$tarball is not there: make it with npm run package."

sum=$(sha256sum "$tarball" | cut -d ' ' -f 1)
version=$(tar -xzOf "$tarball" --wildcards --occurrence=1 '*/VERSION') || die "$tarball is no release of Postern."
case $version in '' | *[!0-9A-Za-z.+-]*) die "$tarball is no release of Postern: its version is \"$version\"." ;; esac
release=$version-$(echo "$sum" | cut -c 1-8)

# Runs a script that it reads at the far side, as root. $ssh is a command and its options.
far() {
  # shellcheck disable=SC2029,SC2086
  $ssh "$host" "if [ \$(id -u) -eq 0 ]; then exec sh -s -- $*; else exec sudo -n sh -s -- $*; fi"
}

echo "deploy.sh: $release to $host"
if [ -n "$is_dry" ]; then
  far "$options $release $sum -" <"$here/release.sh"
  exit
fi

# Not in /tmp, which may be memory.
incoming=$(
  far "$release" <<'FAR'
if [ -d "/opt/postern/releases/$1" ]; then echo there; else mktemp -d /var/tmp/postern.XXXXXX; fi
FAR
) || die "$host cannot be reached, or there is no root there."
case $incoming in
  there) ;;
  /var/tmp/postern.*)
    trap 'echo "rm -rf $incoming" | far' EXIT
    # The name in it is ours.
    # shellcheck disable=SC2029,SC2086
    $ssh "$host" "sudo=; [ \$(id -u) -eq 0 ] || sudo='sudo -n'; \$sudo tee $incoming/tarball >/dev/null" <"$tarball" ||
      die "the tarball could not be sent."
    ;;
  *) die "$host has answered \"$incoming\"." ;;
esac
code=0
far "$options $release $sum $incoming/tarball" <"$here/release.sh" || code=$?
[ "$code" -eq 0 ] || die "$release is not in use on $host."
