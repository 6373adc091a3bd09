#!/usr/bin/env bash
# Runs the tests with further real programs: Headscale and tailscaled for admission and the peer relay, miniupnpd for port mapping, pebble for ACME, HAProxy, nginx and Caddy
# in front, and the floods. Each part installs the programs that it needs; after that, all parts together take about five minutes.
set -uo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
node=$here/../../node_modules/.bin/node
failed=0
part() {
  echo "==> $*"
  "$@" || failed=1
}
part "$here/admission/run.sh"
part "$here/derp-map/run.sh"
part "$here/peer-relay/run.sh"
part "$here/port-mapping/run.sh"
part "$here/acme/run.sh"
part "$here/proxies/run.sh"
part "$node" "$here/../chaos/silence.ts"
part "$node" "$here/../chaos/flood.ts"
if ! ls /usr/lib/*/faketime/libfaketimeMT.so.1 > /dev/null 2>&1; then
  apt-get -o Acquire::Retries=5 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -y -qq --no-install-recommends faketime > /dev/null
fi
part "$node" "$here/../chaos/clocks.ts"
TOWPATH_INTEROP_RUNTIME=bun part "$node" "$here/../chaos/clocks.ts"
exit "$failed"
