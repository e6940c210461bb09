#!/bin/sh
# Cleans up when the demo itself is killed with SIGKILL and cannot. Reads `start PID` and `end PID` of process
# groups from its stdin; when stdin ends, kills the groups that have not ended and removes the demo's folder.
#   guard.sh FOLDER
groups=' '
while read -r word group; do
  case $word in
    start) groups="$groups$group " ;;
    end) groups="${groups%% "$group" *} ${groups#* "$group" }" ;;
  esac
done
for group in $groups; do
  kill -s KILL -- "-$group" 2>/dev/null
done
rm -rf -- "$1"
