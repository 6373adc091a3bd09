#!/usr/bin/env bash
# Compares the peer relay with that of a stock tailscaled: builds both, then runs bench/udp.ts on Node 26. Needs root.
#
#   bench/udp.sh                                     three rounds of all rows but `idle`, kept in bench/results/
#   bench/udp.sh --rows idle --rounds 1              330 s of silence, then the next message
#   bench/udp.sh --contenders stock,node --seconds 2 --rows load
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
(cd "$repository" && npm run --silent compile)
export PEER_RELAY_COMMAND="$repository/bench/udp.ts"
TOWPATH_BENCH_CLIENTS=$(cd "$repository/test/interop" && go list -m -f '{{.Version}}' tailscale.com)
export TOWPATH_BENCH_CLIENTS
TOWPATH_NODE=$("$repository/scripts/node-26.sh")
export TOWPATH_NODE
exec "$repository/test/interop/peer-relay/run.sh" "$@"
