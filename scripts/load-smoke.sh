#!/usr/bin/env bash
# About a minute of `towpath load` against a relay from the sources, on the loopback with a self-signed certificate.
# It fails on errors that a slow machine does not explain: packets that are lost at a low rate, changed, repeated or sent to another client, and connections that end.
# TOWPATH_RUNTIME=node|bun chooses what both of them run on; node when not given.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
runtime=${TOWPATH_RUNTIME:-node}
# The relay takes every TOWPATH_ variable for a key of its configuration.
unset TOWPATH_RUNTIME
case $runtime in
  node | bun) ;;
  *)
    echo "load-smoke: TOWPATH_RUNTIME is $runtime; it must be node or bun" >&2
    exit 2
    ;;
esac
program=$PWD/node_modules/.bin/$runtime
work=$(mktemp -d)
relay=
finish() {
  if [[ -n $relay ]]; then
    kill "$relay" 2> /dev/null || true
    wait "$relay" 2> /dev/null || true
  fi
  rm -rf "$work"
}
trap finish EXIT

"$program" src/main.ts serve --listen 127.0.0.1:0 --http off --stun 127.0.0.1:0 --admin off --hostname 127.0.0.1 \
  --key-file "$work/derper.json" --certificate-directory "$work/certs" > "$work/out.txt" 2> "$work/log.txt" &
relay=$!
for _ in $(seq 300); do
  if grep -q '"msg":"ready"' "$work/log.txt"; then break; fi
  if ! kill -0 "$relay" 2> /dev/null; then break; fi
  sleep 0.1
done
if ! grep -q '"msg":"ready"' "$work/log.txt"; then
  cat "$work/out.txt" "$work/log.txt" >&2
  exit 1
fi
port=$(sed -n 's/^  DERP .*:\([0-9]*\).*/\1/p' "$work/out.txt" | head -1)
pin=$(sed -n 's/^  pin *//p' "$work/out.txt" | head -1)

# These faults fail every scenario.
faults=('reordered>0' 'duplicated>0' 'corrupted>0' 'misrouted>0' 'disconnects>0')
load() {
  local scenario=$1
  shift
  echo
  "$program" src/main.ts load "$scenario" "https://127.0.0.1:$port/derp" --pin "$pin" --server-pid "$relay" "$@"
}

echo "towpath load, relay and tester on $runtime:"
load latency --duration 8 --fail-if 'loss>0' "${faults[@]}"
load latency --websocket --duration 5 --fail-if 'loss>0' "${faults[@]}"
load throughput --duration 8 --fail-if 'loss>0' "${faults[@]}"
load throughput --duration 5 --size 16384 --pairs 4 --window 8 --coalesce 4 --fail-if 'loss>0' "${faults[@]}"
load fairness --duration 8 --polite 20 --greedy 3 --fail-if "${faults[@]}"
load slow --duration 10 --stalled 20 --fail-if 'loss>0' "${faults[@]}"
load connections --pattern churn --connections 100 --per-second 20 --duration 5 --fail-if 'failed>0' 'disconnects>0'
echo
echo 'load-smoke: all right'
