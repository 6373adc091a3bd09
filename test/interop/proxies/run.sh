#!/usr/bin/env bash
# Runs the recipes of deploy/ in front of a real relay: the relaying part of the conformance suite with the official Go
# client through each, and the client's address in the relay's log. Installs the proxies from Debian when they are missing.
# Prints "N passed, N failed".
#
#   run.sh [haproxy|nginx-stream|nginx-http|caddy|traefik]...
#
# Traefik is run only when it is named: it has to be built first, which takes minutes.
# TOWPATH_INTEROP_RUNTIME=bun runs the relays on Bun.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/..
node=$here/../../../node_modules/.bin/node
proxies=${*:-haproxy nginx-stream nginx-http caddy}
# Handshake, relaying, notices about peers, WebSocket; no tests that take a minute or are not about streams.
statements='05|06|07|08|09|10|17|18|19|20|26|27|28|29|30|31|32|49|96|101'
# Behind a proxy that does TLS: it shows its own certificate, so that no client uses the fast start, and it writes the
# Connection header of the answer itself.
own_tls='15|16|100'

if ! command -v haproxy > /dev/null || ! command -v nginx > /dev/null || ! command -v caddy > /dev/null || [[ ! -e /usr/lib/nginx/modules/ngx_stream_module.so ]]; then
  echo "installing haproxy, nginx and caddy"
  # These must not start as services here.
  printf '#!/bin/sh\nexit 101\n' > /usr/sbin/policy-rc.d
  chmod +x /usr/sbin/policy-rc.d
  apt-get -o Acquire::Retries=5 update -qq
  apt-get -o Acquire::Retries=5 install -y -qq --no-install-recommends haproxy nginx libnginx-mod-stream caddy > /dev/null
  rm /usr/sbin/policy-rc.d
fi

if [[ " $proxies " == *" traefik "* ]]; then
  TRAEFIK=$("$interop/traefik/build.sh")
  export TRAEFIK
fi

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0

count() { # log, pattern of a pass, pattern of a failure
  passed=$((passed + $(grep -cE "$2" "$1" || true)))
  failed=$((failed + $(grep -cE "$3" "$1" || true)))
}

(cd "$interop" && go test -c -o "$work/conformance.test" ./conformance)
for proxy in $proxies; do
  echo "== conformance of towpath behind $proxy"
  status=0
  run="^TestS($statements|$own_tls)_"
  if [[ $proxy == nginx-http || $proxy == caddy ]]; then run="^TestS($statements)_"; fi
  RELAY=towpath TOWPATH_COMMAND="$node $here/behind.ts $proxy" \
    "$work/conformance.test" -test.v -test.parallel 6 -test.timeout 4m -test.run "$run" > "$work/$proxy.log" 2>&1 || status=$?
  count "$work/$proxy.log" '^ +--- PASS' '^ +--- FAIL'
  if ((status == 0)); then
    echo "   $(grep -cE '^ +--- PASS' "$work/$proxy.log") ok"
  else
    cat "$work/$proxy.log"
    # A suite that ended before its tests has failed too.
    if ! grep -qE '^ +--- FAIL' "$work/$proxy.log"; then failed=$((failed + 1)); fi
  fi
done

echo "== addresses in the log"
status=0
"$node" "$here/addresses.ts" $proxies > "$work/addresses.log" 2>&1 || status=$?
cat "$work/addresses.log"
count "$work/addresses.log" '^ok ' '^FAIL '
if ((status != 0)) && ! grep -qE '^FAIL ' "$work/addresses.log"; then failed=$((failed + 1)); fi

echo "== connections that the proxy uses again"
status=0
# The relays run in the test process itself.
runtime=$node
if [[ ${TOWPATH_INTEROP_RUNTIME:-node} == bun ]]; then runtime=$here/../../../node_modules/.bin/bun; fi
"$runtime" "$here/reuse.ts" > "$work/reuse.log" 2>&1 || status=$?
cat "$work/reuse.log"
count "$work/reuse.log" '^ok ' '^FAIL '
if ((status != 0)) && ! grep -qE '^FAIL ' "$work/reuse.log"; then failed=$((failed + 1)); fi

echo "$passed passed, $failed failed"
((failed == 0))
