#!/bin/sh
# A hook for tests: "the interface" is a file per node and address beside this script, with the moment (ms) at
# which its lease ends. Every call is noted in `calls` when it begins, and when it has succeeded. Files named
# ACTION-fails.NODE and ACTION-hangs.NODE make an action do so.
set -eu

here=${0%/*}
action=$1
now=$(($(date +%s%N) / 1000000))
lease_end=$((now + VIPAIR_LEASE_SECONDS * 1000))

note() { # MS EVENT
  echo "$1 $VIPAIR_NODE $action $2 $VIPAIR_EPOCH $lease_end $VIPAIR_ADDRESS" >>"$here/calls"
}

# held NODE: whether the address is on that node's interface.
held() {
  read -r until 2>/dev/null <"$here/held.$1.$VIPAIR_ADDRESS" || return 1
  [ "$now" -lt "$until" ]
}

note "$now" begin
if [ -e "$here/$action-fails.$VIPAIR_NODE" ]; then
  echo "ordered to fail" >&2
  exit 1
fi
if [ -e "$here/$action-hangs.$VIPAIR_NODE" ]; then sleep 10; fi
case $action in
  claim)
    if [ "${VIPAIR_PROBE:-0}" = 1 ] && held "$VIPAIR_PEER"; then
      echo "$VIPAIR_ADDRESS is in use" >&2
      exit 3
    fi
    echo "$lease_end" >"$here/held.$VIPAIR_NODE.$VIPAIR_ADDRESS"
    ;;
  renew)
    held "$VIPAIR_NODE" || exit 4
    echo "$lease_end" >"$here/held.$VIPAIR_NODE.$VIPAIR_ADDRESS"
    ;;
  release) rm -f "$here/held.$VIPAIR_NODE.$VIPAIR_ADDRESS" ;;
  status) held "$VIPAIR_NODE" || exit 1 ;;
esac
note "$(($(date +%s%N) / 1000000))" done
