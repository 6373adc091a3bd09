#!/usr/bin/env bash
# Checks that the npm package installs and runs with production packages only: from the archive of
# `npm run pack` into an empty folder, and from a git URL for the whole machine (`npm install --global`), which compiles nothing.
set -euo pipefail
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
node=$repository/node_modules/.bin/node
# Without node_modules/.bin of this repository, in which npm would find the compiler.
PATH=$(dirname "$(realpath "$node")"):/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
work=$(mktemp -d)
relay=
finish() {
  if [[ -n $relay ]]; then kill "$relay" 2> /dev/null || true; fi
  rm -rf "$work"
}
trap finish EXIT

# npm prints only what it installed: no warning, and no list of scripts.
quietly() {
  "$@" > "$work/npm.txt" 2>&1 || { cat "$work/npm.txt"; exit 1; }
  if grep -E '^npm (warn|error)|script' "$work/npm.txt"; then exit 1; fi
}

# Starts the command towpath with two relay threads; its threads start with modules that no import names.
starts() {
  local port
  mkdir "$work/state"
  cd "$work/state"
  echo "$("$@" --version), installed from $from and started:"
  "$@" serve --listen 127.0.0.1:0 --http off --stun 127.0.0.1:0 --admin off --hostname 127.0.0.1 --threads 2 \
    --key-file derper.json --certificate-directory certs > out.txt 2> log.txt &
  relay=$!
  for _ in $(seq 300); do
    if grep -q '"msg":"ready"' log.txt; then
      grep -o '"tls":.*' log.txt
      if grep 'Warning:' log.txt; then exit 1; fi
      port=$(sed -n 's/^  DERP .*:\([0-9]*\).*/\1/p' out.txt | head -1)
      "$@" load latency "https://127.0.0.1:$port/derp" --insecure --duration 1 --fail-if 'loss>0' | tail -1
      kill "$relay"
      wait "$relay"
      relay=
      cd "$work"
      rm -rf state
      return
    fi
    if grep -q '"msg":"not ready"' log.txt || ! kill -0 "$relay" 2> /dev/null; then break; fi
    sleep 0.1
  done
  cat out.txt log.txt
  exit 1
}

# Starts a relay in a program, as docs/embedding.md shows it. The folder has the package in its node_modules.
embeds() {
  cd "$1"
  "$node" --input-type=module --eval "
    import { startRelay } from 'towpath';
    const relay = await startRelay();
    console.log('in a program:', relay.url);
    await relay.close();"
}

from='an archive'
cd "$repository"
npm run --silent pack -- --silent --pack-destination "$work" > /dev/null
mkdir "$work/archive"
cd "$work/archive"
npm init -y > /dev/null
quietly npm install --no-audit --no-fund "$work"/towpath-*.tgz
starts "$work/archive/node_modules/.bin/towpath"
embeds "$work/archive"

from='a git URL'
git clone --quiet --no-hardlinks "$repository" "$work/clone"
npm_config_prefix=$work/prefix quietly npm install --global --no-audit --no-fund "git+file://$work/clone"
starts "$work/prefix/bin/towpath"
embeds "$work/prefix/lib"
