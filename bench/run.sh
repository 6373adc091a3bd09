#!/usr/bin/env bash
# Measures towpath beside Go derper on this machine, in interleaved rounds.
#
#   bench/run.sh                    short, for CI: under 90 seconds once everything is built
#   bench/run.sh --full             at least five rounds of every case; keeps JSON in bench/results/
#   bench/run.sh --help             all flags
#
# TOWPATH_BENCH=full is the same as --full. Needs Go for derper and the load generator, taskset and two CPUs.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/.." && pwd)
interop=$repository/test/interop
version=$(cd "$interop" && go list -m -f '{{.Version}}' tailscale.com)
export TOWPATH_INTEROP_CACHE=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
export TOWPATH_BENCH_PROGRAMS=$TOWPATH_INTEROP_CACHE/$version
export TOWPATH_BENCH_UPSTREAM=$version

mkdir -p "$TOWPATH_BENCH_PROGRAMS"
for program in derper tailscale tailscaled; do
  if [[ ! -x $TOWPATH_BENCH_PROGRAMS/$program ]]; then
    "$interop/run.sh" build
    break
  fi
done
# Go itself knows whether these are up to date.
for program in benchload benchtailscale; do
  (cd "$interop" && go build -trimpath -o "$TOWPATH_BENCH_PROGRAMS/$program" "./cmd/$program")
done

exec "$repository/node_modules/.bin/node" "$here/relay.ts" "$@"
