#!/bin/sh
# Everything that can be tested on this machine, from a fresh clone: installs the packages, then runs every
# check and every layer of tests. The last line is `N passed, N failed, N skipped`; exit 0 means none failed.
# With arguments only those parts: scripts/test.sh check unit sim integration lab
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
./scripts/install-packages.sh
exec node_modules/.bin/node scripts/test.ts "$@"
