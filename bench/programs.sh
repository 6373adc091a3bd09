# Sourced by run.sh and flame.sh: builds what is compared and what measures, and says where it is.
repository=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
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
