#!/bin/sh
# A notify hook that keeps a journal, told.NODE, of when it begins and ends. It takes a moment, so that two at once would show, and
# while NODE.notify holds `hang` it does not end.
here=$(dirname "$0")
tell() {
  echo "$1 $(basename "$0") $VIPAIR_PREVIOUS_ROLE>$VIPAIR_ROLE $VIPAIR_EPOCH" >>"$here/told.$VIPAIR_NODE"
}
tell begin
sleep 0.3
while [ "$(cat "$here/$VIPAIR_NODE.notify" 2>/dev/null)" = hang ]; do sleep 0.1; done
tell end
