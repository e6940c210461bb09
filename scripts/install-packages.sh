#!/bin/sh
# Runs `npm ci` when node_modules is missing or is not what package-lock.json says. Needs npm and any node.
# Says nothing when there is nothing to do.
set -eu
cd "$(dirname "$(readlink -f "$0")")/.."

# Prints why packages have to be installed; nothing when they are there. What cannot be compared counts as not there: npm ci makes
# node_modules anew from the lock file alone, and complains itself about a lock file that is damaged.
why_not_current() {
  if [ ! -x node_modules/.bin/node ]; then
    echo "node_modules is missing or not whole"
    return
  fi
  # npm keeps beside the packages the part of the lock file that it installed; optional packages for
  # another machine are not in it.
  node -e '
    const { readFileSync } = require("node:fs");
    const read = (file) => {
      try {
        return Object(JSON.parse(readFileSync(file, "utf8")).packages);
      } catch (error) {
        console.log(file + ": " + error.message.split("\n")[0]);
        process.exit();
      }
    };
    const wanted = read("package-lock.json");
    const installed = read("node_modules/.package-lock.json");
    delete wanted[""];
    const same = (name) => installed[name] && wanted[name] && installed[name].integrity === wanted[name].integrity;
    const isWrong = (name) => !same(name) && (installed[name] || !wanted[name].optional);
    const wrong = [...Object.keys(installed), ...Object.keys(wanted)].find(isWrong);
    if (wrong !== undefined) console.log(wrong + " is not what package-lock.json says");
  ' || echo "node cannot compare it with package-lock.json"
}

reason=$(why_not_current)
if [ -n "$reason" ]; then
  echo "Installing packages (npm ci): $reason" >&2
  npm ci --no-audit --no-fund >&2
fi
