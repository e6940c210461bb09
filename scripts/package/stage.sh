# The files of an installed vipair, put into a folder as they stand below / later. scripts/package.sh packs the folder, scripts/install.sh copies
# it, so there is one list of what belongs to vipair. To be sourced, in the root of a checkout.
# shellcheck shell=sh

# npm's name for Debian's architecture.
npm_cpu() { # amd64 | arm64
  case $1 in
    amd64) echo x64 ;;
    arm64) echo arm64 ;;
    *)
      echo "no such architecture: $1 (amd64 or arm64)" >&2
      return 1
      ;;
  esac
}

# Built once for all architectures: JavaScript, the manual page, completions.
build_program() { # FOLDER
  node_modules/.bin/tsc --project src --outDir "$1/dist"
  node_modules/.bin/node scripts/package/generate.ts "$1"
}

# The packages that run with it and the runtime of the architecture, from the lock file, without what only developers read. The result is kept:
# the same lock file gives the same again. Prints the folder, which holds node_modules.
install_dependencies() { # ARCHITECTURE
  cpu=$(npm_cpu "$1")
  kept=node_modules/.cache/vipair-package/$cpu-$(cat package-lock.json scripts/package/stage.sh | sha256sum | cut -c1-16)
  if [ ! -d "$kept" ]; then
    mkdir -p "$(dirname "$kept")"
    fresh=$(mktemp -d "$kept.XXXXXX")
    cp package.json package-lock.json "$fresh/"
    # Neither package scripts nor the machine's own kind have a say in what is installed.
    (cd "$fresh" && npm ci --omit=dev --os=linux --cpu="$cpu" --ignore-scripts --prefer-offline --no-audit --no-fund --loglevel=error >&2)
    prune_dependencies "$fresh/node_modules" "$cpu"
    test -x "$fresh/node_modules/node-linux-$cpu/bin/node"
    # Somebody else may have been faster.
    mv -T "$fresh" "$kept" 2>/dev/null || rm -rf "$fresh"
  fi
  echo "$kept"
}

# Sources and types of what is there as JavaScript, builds for browsers, headers, tests, command lines of others.
prune_dependencies() { # NODE_MODULES CPU
  (
    cd "$1" || exit
    rm -rf .bin .package-lock.json "node-linux-$2/include" "node-linux-$2/share"
    rm -rf zod/src yaml/browser pino/bin.js systeminformation/lib/cli.js yaml/bin.mjs
    find . -depth -type d \( -name test -o -name tests -o -name docs -o -name benchmarks -o -name examples -o -name fixtures -o -name '.github' \
      -o -name '.husky' -o -name typings -o -name types \) -exec rm -rf {} +
    find . -type f \( -name '*.ts' -o -name '*.cts' -o -name '*.mts' -o -name '*.map' -o -name '*.md' -o -name '*.yml' -o -name '.*' \
      -o -name '*.zip' -o -name '*.ico' -o -name '*.html' -o -name '*.sh' -o -name CNAME \
      -o -name 'test.js' -o -name 'bench*.js' -o -name 'eslint.config.*' -o -name 'tsconfig*.json' \) -delete
    find . -depth -type d -empty -delete
  )
}

# Everything, with the modes that it has on disk. What build_program and install_dependencies made is taken from two folders.
stage_files() { # ROOT BUILT DEPENDENCIES VERSION
  lib=$1/usr/lib/vipair
  share=$1/usr/share
  umask 022
  mkdir -p "$lib/scripts/hooks" "$1/usr/bin"
  cp -R "$2/dist" "$lib/dist"
  cp -R "$3/node_modules" "$lib/node_modules"
  # The program reads its version here; nothing else in the file is of use without the sources.
  printf '{ "name": "vipair", "version": "%s", "type": "module" }\n' "$4" >"$lib/package.json"
  install -m 0755 scripts/vipair scripts/with-notify-fd scripts/release-addresses "$lib/scripts/"
  install -m 0755 scripts/hooks/vip scripts/hooks/announce scripts/hooks/ask-arbiter "$lib/scripts/hooks/"
  ln -s ../lib/vipair/scripts/vipair "$1/usr/bin/vipair"

  install -D -m 0644 scripts/package/vipair.yaml "$1/etc/vipair/vipair.yaml"
  install -d "$1/usr/lib/systemd/system"
  install -m 0644 systemd/vipair.service systemd/vipair-active.target systemd/vipair-standby.target "$1/usr/lib/systemd/system/"
  install -D -m 0644 systemd/sysctl.conf "$1/usr/lib/sysctl.d/60-vipair.conf"
  install -D -m 0644 systemd/tmpfiles.conf "$1/usr/lib/tmpfiles.d/vipair.conf"
  install -D -m 0644 systemd/sysusers.conf "$1/usr/lib/sysusers.d/vipair.conf"

  install -d "$share/man/man8" "$share/doc/vipair"
  gzip -9n <"$2/vipair.8" >"$share/man/man8/vipair.8.gz"
  install -D -m 0644 "$2/vipair.bash" "$share/bash-completion/completions/vipair"
  install -D -m 0644 "$2/_vipair" "$share/zsh/vendor-completions/_vipair"
  install -m 0644 README.md docs/*.md docs/example.yaml docs/vipair.schema.json "$share/doc/vipair/"
  install -m 0644 scripts/package/copyright "$share/doc/vipair/copyright"
  find "$1" -type d -exec chmod 0755 {} +
  find "$lib/dist" "$lib/node_modules" -type f -exec chmod 0644 {} +
  chmod 0755 "$lib"/node_modules/node-linux-*/bin/node
}
