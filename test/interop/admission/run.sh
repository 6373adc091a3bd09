#!/usr/bin/env bash
# Runs the admission tests against a real Headscale, whose version is pinned in test/interop/headscale/go.mod, and
# against stock tailscaled. The first run builds Headscale into the cache (some minutes). Arguments go to go test.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/..
export TOWPATH_INTEROP_CACHE=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
version=$(cd "$interop/headscale" && go list -m -f '{{.Version}}' github.com/juanfont/headscale)
export HEADSCALE=$TOWPATH_INTEROP_CACHE/headscale-$version/headscale

if [[ ! -x $HEADSCALE ]]; then
  echo "building headscale $version"
  mkdir -p "$(dirname "$HEADSCALE")"
  (cd "$interop/headscale" && go build -trimpath -o "$HEADSCALE.$$" github.com/juanfont/headscale/cmd/headscale)
  mv "$HEADSCALE.$$" "$HEADSCALE"
fi
"$interop/run.sh" build
cd "$interop" && exec go test ./admission -count=1 -v -timeout 10m "$@"
