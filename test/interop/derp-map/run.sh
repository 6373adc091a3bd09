#!/usr/bin/env bash
# A real Headscale reads the map that the relay publishes (derpMap.publish), and a stock tailscaled follows it to the relay:
# before and after the relay has got a new certificate, and so a new pin. Headscale and the client are not restarted meanwhile.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/..
root=$(cd "$interop/../.." && pwd)
cache=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
version=$(cd "$interop/headscale" && go list -m -f '{{.Version}}' github.com/juanfont/headscale)
headscale=$cache/headscale-$version/headscale
[[ -x $headscale ]] || { echo "run test/interop/admission/run.sh first: it builds Headscale" >&2; exit 1; }
tailscaled=$(find "$cache" -name tailscaled -type f | sort -V | tail -1)
tailscale=$(dirname "$tailscaled")/tailscale
node=$root/node_modules/.bin/node
work=$(mktemp -d)
relay='' control='' client=''
finish() {
  for process in $relay $control $client; do kill "$process" 2> /dev/null || true; done
  wait || true
  rm -rf "$work"
}
trap finish EXIT
cd "$work"

openssl rand -hex 16 > path
cat > towpath.yaml << YAML
hostname: 127.0.0.1
publicIp: [127.0.0.1]
listen: 127.0.0.1:28443
http: 127.0.0.1:28080
stun: 127.0.0.1:28478
admin: 127.0.0.1:28084
keyFile: derper.key
certificate: { mode: self-signed, directory: certs }
admission: { open: true }
derpMap: { publish: { pathFile: path, plainHttp: true } }
YAML
cat > headscale.yaml << YAML
server_url: http://127.0.0.1:28081
listen_addr: 127.0.0.1:28081
metrics_listen_addr: 127.0.0.1:28082
grpc_listen_addr: 127.0.0.1:28083
noise: { private_key_path: $work/noise.key }
prefixes: { v4: 100.64.0.0/10, v6: 'fd7a:115c:a1e0::/48' }
derp:
  server: { enabled: false }
  urls: ['http://127.0.0.1:28080/derpmap/$(cat path)']
  auto_update_enabled: true
  update_frequency: 2s
database: { type: sqlite, sqlite: { path: $work/db.sqlite } }
dns: { magic_dns: false, override_local_dns: false, base_domain: example.test }
unix_socket: $work/headscale.sock
disable_check_updates: true
YAML

start_relay() {
  "$node" "$root/src/main.ts" serve --config towpath.yaml > relay.log 2>&1 &
  relay=$!
  until_true 'the relay is ready' curl --silent --fail --output /dev/null http://127.0.0.1:28084/readyz
}
pin() { "$node" "$root/src/main.ts" derp-map --config towpath.yaml --format json 2> /dev/null | grep -o 'sha256-raw:[0-9a-f]*'; }
client_has() { "$tailscale" --socket=ts.sock debug derp-map 2> /dev/null | grep -q "$1"; }
# The relay's own self-test is over when it is ready, so that the open connection is the client.
client_is_connected() { curl --silent http://127.0.0.1:28084/metrics | grep -Eq '^towpath_home_connections [1-9]'; }
until_true() {
  local what=$1
  shift
  for _ in $(seq 300); do
    if "$@"; then
      echo "  ok: $what"
      return
    fi
    sleep 0.2
  done
  echo "  FAILED: $what"
  for log in *.log; do tail -n 5 "$log"; done
  exit 1
}

start_relay
"$headscale" serve --config headscale.yaml > headscale.log 2>&1 &
control=$!
until_true 'Headscale runs' test -S headscale.sock
"$headscale" --config headscale.yaml users create test > /dev/null
key=$("$headscale" --config headscale.yaml preauthkeys create --user 1 2> /dev/null | tail -1)
"$tailscaled" --tun=userspace-networking --statedir=state --socket=ts.sock --port=0 > tailscaled.log 2>&1 &
client=$!
until_true 'tailscaled runs' test -S ts.sock
"$tailscale" --socket=ts.sock up --login-server=http://127.0.0.1:28081 --authkey="$key" --hostname=test --accept-dns=false

first=$(pin)
until_true "the client has the pin $first" client_has "$first"
until_true 'the client is connected to the relay' client_is_connected

kill "$relay"
wait "$relay" || true
rm -r certs
start_relay
second=$(pin)
[[ $first != "$second" ]] || {
  echo '  FAILED: the pin is the same'
  exit 1
}
until_true "the client has the new pin $second" client_has "$second"
until_true 'the client is connected again' client_is_connected
