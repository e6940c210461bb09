#!/bin/sh
# package.sh [amd64|arm64|all] [--output DIR] [--version VERSION] [--uncompressed]: makes vipair_VERSION_ARCH.deb. Either kind of machine
# makes both. The same commit gives the same bytes, whenever and wherever it is built. Without an architecture it is this machine's. The last
# lines are the paths of the packages. For tests: --version (in place of that in package.json), and --uncompressed, which saves a minute.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/package/stage.sh

usage() {
  echo "usage: scripts/package.sh [amd64|arm64|all] [--output DIR] [--version VERSION] [--uncompressed]" >&2
  exit 2
}

architectures=$(dpkg --print-architecture)
output=dist-packages
version=''
compression=xz
while [ $# -gt 0 ]; do
  case $1 in
    amd64 | arm64) architectures=$1 ;;
    all) architectures='amd64 arm64' ;;
    --output) output=${2-} && shift ;;
    --version) version=${2-} && shift ;;
    --uncompressed) compression=none ;;
    *) usage ;;
  esac
  [ $# -gt 0 ] || usage
  shift
done
[ -n "$output" ] || usage

./scripts/install-packages.sh
version=${version:-$(node_modules/.bin/node -p 'require("./package.json").version')}
# A pre-release sorts before its release: 1.0.0-rc.1 is 1.0.0~rc.1 for Debian.
debian_version=$(printf %s "$version" | tr - '~')
# What everything in the package was last changed, for dpkg-deb, gzip and whoever looks.
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
export SOURCE_DATE_EPOCH LC_ALL=C TZ=UTC

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP
mkdir -p "$output"
output=$(readlink -f "$output")

build_program "$work/built"

# perl-base, which the hooks need as well, is essential: it is on every Debian.
control_file() { # ARCHITECTURE INSTALLED-KIB
  cat <<END
Package: vipair
Version: $debian_version
Architecture: $1
Maintainer: The vipair authors <vipair@example.org>
Installed-Size: $2
Depends: iproute2, iputils-arping, iputils-ping, libc6 (>= 2.28), libgcc-s1, libstdc++6 (>= 9), systemd | systemd-standalone-sysusers
Recommends: nftables
Suggests: bash-completion
Section: net
Priority: optional
Description: highly available pair of load balancers
 Two machines balance HTTP over the same backends and share one virtual IP
 address. They heartbeat each other and elect the one that holds the address;
 when it dies, the other one has it within a second.
 .
 One configuration file, the same on both nodes, takes the place of keepalived,
 HAProxy and what keeps them together. The Node.js runtime comes along.
END
}

changelog() {
  cat <<END
vipair ($debian_version) unstable; urgency=medium

  * What has changed: /usr/share/doc/vipair/changelog.md

 -- The vipair authors <vipair@example.org>  $(date -R -d "@$SOURCE_DATE_EPOCH")
END
}

make_package() { # ARCHITECTURE
  root=$work/$1
  dependencies=$(install_dependencies "$1")
  stage_files "$root" "$work/built" "$dependencies" "$version"
  changelog | gzip -9n >"$root/usr/share/doc/vipair/changelog.gz"
  install -D -m 0644 scripts/package/lintian-overrides "$root/usr/share/lintian/overrides/vipair"

  mkdir "$root/DEBIAN"
  # As dpkg-gencontrol counts: files by whole KiB, everything else as one.
  kib=$(find "$root" -path "$root/DEBIAN" -prune -o -type f -printf '%s\n' -o -printf '1\n' | awk '{ sum += int(($1 + 1023) / 1024) } END { print sum }')
  control_file "$1" "$kib" >"$root/DEBIAN/control"
  echo /etc/vipair/vipair.yaml >"$root/DEBIAN/conffiles"
  (cd "$root" && find usr -type f | sort | xargs -d '\n' md5sum) >"$root/DEBIAN/md5sums"
  install -m 0755 scripts/package/postinst scripts/package/prerm scripts/package/postrm "$root/DEBIAN/"
  chmod 0644 "$root/DEBIAN/control" "$root/DEBIAN/conffiles" "$root/DEBIAN/md5sums"

  find "$root" -exec touch --no-dereference --date="@$SOURCE_DATE_EPOCH" {} +
  package=$output/vipair_${debian_version}_$1.deb
  # One thread: how xz splits its work among several shows in what it writes.
  dpkg-deb --root-owner-group -Z$compression --threads-max=1 --build "$root" "$package" >&2
  packages="${packages-}$package
"
}

for architecture in $architectures; do make_package "$architecture"; done
printf %s "$packages"
