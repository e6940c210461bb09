#!/bin/sh
# Runs `npm ci` when node_modules is missing or is not what package-lock.json says. Needs npm and any node.
# Says nothing when there is nothing to do.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."

is_current() {
  [ -x node_modules/.bin/node ] || return 1
  # npm keeps beside the packages the part of the lock file that it installed; optional packages for
  # another machine are not in it.
  node -e '
    const { readFileSync } = require("node:fs");
    const read = (file) => JSON.parse(readFileSync(file, "utf8")).packages;
    const wanted = read("package-lock.json");
    const installed = read("node_modules/.package-lock.json");
    delete wanted[""];
    const same = (name) => installed[name] && wanted[name] && installed[name].integrity === wanted[name].integrity;
    const current =
      Object.keys(installed).every(same) &&
      Object.keys(wanted).every((name) => same(name) || (!installed[name] && wanted[name].optional));
    process.exit(current ? 0 : 1);
  ' 2>/dev/null
}

if ! is_current; then
  echo "Installing packages (npm ci)" >&2
  npm ci --no-audit --no-fund >&2
fi
