#!/bin/sh
# What a proxied request costs: vipair beside HAProxy, nginx, http-proxy, @fastify/http-proxy and httpxy, in turns.
# docs/performance.md tells what is measured and how; scripts/bench/http.sh --help lists the options.
set -eu
root=$(dirname "$(dirname "$(dirname "$(readlink -f "$0")")")")
PATH=$PATH:/usr/sbin:/sbin

missing=
for tool in haproxy nginx wrk npm taskset:util-linux; do
  command -v "${tool%%:*}" >/dev/null || missing="$missing ${tool##*:}"
done
if [ -n "$missing" ]; then
  echo "http.sh: not installed:$missing. On Debian: apt-get install --no-install-recommends$missing" >&2
  exit 1
fi
if [ "$(getconf _NPROCESSORS_ONLN)" -lt 2 ]; then
  echo "http.sh: two processor cores are needed, one for the proxy and one for its clients and backends" >&2
  exit 1
fi
"$root/scripts/install-packages.sh"
exec "$root/node_modules/.bin/node" "$root/scripts/bench/http/main.ts" "$@"
