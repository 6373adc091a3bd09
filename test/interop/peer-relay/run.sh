#!/usr/bin/env bash
# Two stock tailscaled without a direct path reach each other through towpath, as DERP relay and as peer relay, in a
# tailnet of a stock Headscale. Needs root, for network namespaces. Takes about five minutes.
#
#   test/interop/peer-relay/run.sh              downloads, a restart of the relay, each port
#   test/interop/peer-relay/run.sh --idle 600   only ten minutes of silence, and then a packet
#
# TOWPATH_INTEROP_RUNTIME=bun runs towpath on Bun. PEER_RELAY_BYTES is the length of the download (200000000).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/..
node=${TOWPATH_NODE:-$interop/../../node_modules/.bin/node}
export TOWPATH_INTEROP_CACHE=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
version=$(cd "$interop/headscale" && go list -m -f '{{.Version}}' github.com/juanfont/headscale)
export HEADSCALE=$TOWPATH_INTEROP_CACHE/headscale-$version/headscale

if ! command -v nft > /dev/null || ! command -v ip > /dev/null || ! command -v curl > /dev/null; then
  apt-get -o Acquire::Retries=5 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -y -qq --no-install-recommends nftables iproute2 curl > /dev/null
fi
if [[ ! -x $HEADSCALE ]]; then
  echo "building headscale $version"
  mkdir -p "$(dirname "$HEADSCALE")"
  (cd "$interop/headscale" && go build -trimpath -o "$HEADSCALE.$$" github.com/juanfont/headscale/cmd/headscale)
  mv "$HEADSCALE.$$" "$HEADSCALE"
fi
"$interop/run.sh" build
tailscale=$(cd "$interop" && go list -m -f '{{.Version}}' tailscale.com)
export TAILSCALE_PROGRAMS=$TOWPATH_INTEROP_CACHE/$tailscale
if [[ -z ${PEER_RELAY_COMMAND:-} && $# == 0 ]]; then
  TOWPATH_NODE_26=$("$interop/../../scripts/node-26.sh") "$node" "$here/paths.ts"
fi
exec "$node" "${PEER_RELAY_COMMAND:-$here/run.ts}" "$@"
