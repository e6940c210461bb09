#!/bin/sh
# A whole vipair on this machine's loopback: two nodes, three sample backends, a virtual address, and keys
# that break things. Needs npm and any node, no root. With --script, or without a terminal, it plays the
# faults by itself and exits 0 only if the pair recovered from each.
set -eu
root=$(dirname "$(dirname "$(readlink -f "$0")")")

if [ "$(uname -s)" != Linux ]; then
  echo "demo: vipair runs on Linux; this is $(uname -s)" >&2
  exit 1
fi
if ! command -v npm >/dev/null || ! command -v node >/dev/null; then
  echo "demo: npm and node are needed to install the packages (any version of node will do)" >&2
  exit 1
fi
"$root/scripts/install-packages.sh"
if [ ! -x "$root/node_modules/.bin/node" ]; then
  echo "demo: there is no runtime for $(uname -m); vipair comes with one for x86_64 and aarch64" >&2
  exit 1
fi
exec "$root/node_modules/.bin/node" "$root/scripts/demo/main.ts" "$@"
