#!/bin/sh
# install.sh: puts a vipair on this machine from a checkout, as the package does: the same files, user, settings and service. Once more: an upgrade.
# install.sh --uninstall [--purge]: takes it off again; with --purge also what people and the program have written: configuration, secret,
# orders, logs, the user. Both as root.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/package/stage.sh

# What was installed, so that it can be taken off without the checkout that it came from.
list=/usr/lib/vipair/.installed
config=/etc/vipair/vipair.yaml

usage() {
  echo "usage: scripts/install.sh [--uninstall [--purge]]" >&2
  exit 2
}

action=install
end=remove
for argument in "$@"; do
  case $argument in
    --uninstall) action=uninstall ;;
    --purge) end=purge ;;
    *) usage ;;
  esac
done
[ "$action" = uninstall ] || [ "$end" = remove ] || usage

if [ "$(id -u)" -ne 0 ]; then
  echo "only root can do that: sudo scripts/install.sh${*:+ $*}" >&2
  exit 1
fi
if dpkg-query --show --showformat='${db:Status-Abbrev}' vipair 2>/dev/null | grep -q '^i'; then
  echo "vipair is installed as a package: apt remove vipair, before or instead" >&2
  exit 1
fi

# From the last line to the first: what is in a folder before the folder itself, which goes when it is empty.
remove_files() { # LIST
  sort -r "$1" | while read -r path; do
    if [ -d "/$path" ] && [ ! -L "/$path" ]; then
      rmdir --ignore-fail-on-non-empty "/$path"
    else
      rm -f "/$path"
    fi
  done
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
trap 'exit 1' INT TERM HUP

if [ "$action" = uninstall ]; then
  if [ ! -f "$list" ]; then
    echo "nothing was installed by install.sh" >&2
    exit 1
  fi
  scripts/package/prerm remove
  # An example that nobody has touched says nothing to anybody.
  if cmp -s scripts/package/vipair.yaml "$config"; then rm "$config"; fi
  cp "$list" "$work/list"
  rm "$list"
  remove_files "$work/list"
  scripts/package/postrm "$end"
  exit 0
fi

# What the package depends on. There is another arping, which takes other options.
missing=''
command -v ip >/dev/null || missing="$missing iproute2"
arping -V 2>&1 | grep -q iputils || missing="$missing iputils-arping"
command -v ping >/dev/null || missing="$missing iputils-ping"
if [ -n "$missing" ]; then
  echo "vipair needs programs that this machine does not have: sudo apt install$missing" >&2
  exit 1
fi

./scripts/install-packages.sh
architecture=$(dpkg --print-architecture)
version=$(node_modules/.bin/node -p 'require("./package.json").version')
build_program "$work/built"
dependencies=$(install_dependencies "$architecture")
stage_files "$work/root" "$work/built" "$dependencies" "$version"
# Nobody's configuration is replaced.
if [ -e "$config" ]; then rm "$work/root$config"; fi
# Folders that are everybody's stay when this goes.
(cd "$work/root" && find usr etc \( -path 'usr/lib/vipair*' -o -path 'usr/share/doc/vipair*' -o ! -type d \) ! -path "${config#/}" | sort) >"$work/list"

before=''
: >"$work/gone"
if [ -f "$list" ]; then
  before=$version
  scripts/package/prerm upgrade "$version"
  sort "$list" | comm -23 - "$work/list" >"$work/gone"
fi
# Before anything is there, so that also what is cut off here can be taken off.
mkdir -p "${list%/*}"
cat "$work/list" "$work/gone" | sort -u >"$list.new"
mv "$list.new" "$list"
tar --create --directory "$work/root" --owner=0 --group=0 --file - . |
  tar --extract --directory / --no-overwrite-dir --keep-directory-symlink --file -
if [ -s "$work/gone" ]; then remove_files "$work/gone"; fi
install -m 0644 "$work/list" "$list"
scripts/package/postinst configure "$before"
echo "vipair $version is installed"
