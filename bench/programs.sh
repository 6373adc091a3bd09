# Sourced by run.sh, flame.sh and upgrade.sh: builds the compared programs and the load generators, and sets their paths.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
interop=$repository/test/interop
version=$(cd "$interop" && go list -m -f '{{.Version}}' tailscale.com)
export TOWPATH_INTEROP_CACHE=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
export TOWPATH_BENCH_PROGRAMS=$TOWPATH_INTEROP_CACHE/$version
# The other relays are compared with the newest derper of upstream; the clients are those of the tests.
TOWPATH_BENCH_UPSTREAM=$(sed -n 's/.*tailscale\.com \(v[0-9.]*\)$/\1/p' "$interop/newer/go.mod")
export TOWPATH_BENCH_UPSTREAM
export TOWPATH_BENCH_DERPER=$TOWPATH_INTEROP_CACHE/$TOWPATH_BENCH_UPSTREAM/derper
export TOWPATH_BENCH_CLIENTS=$version

mkdir -p "$TOWPATH_BENCH_PROGRAMS"
for program in "$TOWPATH_BENCH_DERPER" "$TOWPATH_BENCH_PROGRAMS/tailscale" "$TOWPATH_BENCH_PROGRAMS/tailscaled"; do
  if [[ ! -x $program ]]; then
    "$interop/run.sh" build
    break
  fi
done
# Go checks whether these are up to date.
for program in benchload benchtailscale; do
  (cd "$interop" && go build -trimpath -o "$TOWPATH_BENCH_PROGRAMS/$program" "./cmd/$program")
done
