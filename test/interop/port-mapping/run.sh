#!/usr/bin/env bash
# A relay behind a router that forwards ports by PCP, NAT-PMP and UPnP (miniupnpd of Debian): the relay asks for its UDP
# ports, learns its public address by STUN, and is reached from outside. Needs root, for network namespaces. Takes half a
# minute. TOWPATH_INTEROP_RUNTIME=bun runs towpath on Bun.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
node=${TOWPATH_NODE:-$here/../../../node_modules/.bin/node}
if ! command -v miniupnpd > /dev/null || ! command -v nft > /dev/null || ! command -v ip > /dev/null; then
  apt-get -o Acquire::Retries=5 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -y -qq --no-install-recommends miniupnpd-nftables nftables iproute2 curl > /dev/null
fi
exec "$node" "$here/run.ts"
