#!/bin/sh
# A hook that does what scripts/hooks/vip does, until a file beside it tells otherwise: NODE.ACTION holds `fail` or `hang`.
here=$(dirname "$0")
order=$(cat "$here/$VIPAIR_NODE.$1" 2>/dev/null)
case $order in
  fail)
    echo "the lab told this hook to fail" >&2
    exit 1
    ;;
  hang) exec sleep 60 ;;
esac
exec "$here/vip" "$@"
