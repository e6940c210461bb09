#!/bin/sh
# A tracked check that is good until a file beside it tells otherwise: NODE.check holds `fail`. Checks are not told
# which node they look at; the namespace is named after it.
PATH=$PATH:/usr/sbin:/sbin
namespace=$(ip netns identify $$)
read -r order 2>/dev/null <"${0%/*}/${namespace##*-}.check"
[ "$order" != fail ]
