#!/usr/bin/env bash
# What `npm pack` holds must install and run in an empty folder, as a user would have it: production packages only.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=$repository/node_modules/.bin/node
work=$(mktemp -d)
relay=
finish() {
  if [[ -n $relay ]]; then kill "$relay" 2> /dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

cd "$repository"
npm pack --silent --pack-destination "$work" > /dev/null
cd "$work"
npm init -y > /dev/null
npm install --silent --no-audit --no-fund ./towpath-*.tgz
main=node_modules/towpath/dist/main.js

echo "$("$node" "$main" --version), packed, installed and started:"
"$node" "$main" serve --listen 127.0.0.1:0 --http off --stun 127.0.0.1:0 --admin off --hostname 127.0.0.1 \
  --key-file derper.json --certificate-directory certs > out.txt 2> log.txt &
relay=$!
for _ in $(seq 100); do
  if grep -q '"msg":"ready"' log.txt; then
    grep -o '"tls":.*' log.txt
    # Its threads start with a module that no import names.
    port=$(sed -n 's/^  DERP .*:\([0-9]*\).*/\1/p' out.txt | head -1)
    "$node" "$main" load latency "https://127.0.0.1:$port/derp" --insecure --duration 1 --fail-if 'loss>0' | tail -1
    kill "$relay"
    wait "$relay"
    relay=
    exit 0
  fi
  if grep -q '"msg":"not ready"' log.txt || ! kill -0 "$relay" 2> /dev/null; then break; fi
  sleep 0.1
done
cat out.txt log.txt
exit 1
