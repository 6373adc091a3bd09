#!/usr/bin/env bash
# Runs the interoperability tests: real upstream programs and packages against two releases of Go derper and towpath.
#
#   run.sh [conformance|verdicts|e2e|derpprobe|build] [--check]
#
# Without a part all parts run. --check compares docs/conformance.md with the result of the run instead of writing it.
# RELAYS="derper-1.102.5", "derper-1.104.5" or "towpath" limits the relays (the report then is not made).
# TOWPATH_COMMAND is the command that runs towpath;
# TOWPATH_INTEROP_RUNTIME=bun runs the sources on Bun.
# E2E_TRANSCRIPT is a file to which the pings and transfers are appended; E2E_SLOW_BYTES is the length of the download over a slow
# link (default 1000000, which takes half a minute).
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../.." && pwd)
version=$(cd "$here" && go list -m -f '{{.Version}}' tailscale.com)
export TOWPATH_INTEROP_CACHE=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}
cache=$TOWPATH_INTEROP_CACHE/$version
# Read from the file, because the go command would download the newer Go that this module needs.
newer_version=$(sed -n 's/.*tailscale\.com \(v[0-9.]*\)$/\1/p' "$here/newer/go.mod")
all_relays="derper-1.102.5 derper-1.104.5 towpath"
relays=${RELAYS:-$all_relays}
part=all
check=
for argument in "$@"; do
  case $argument in
    conformance | verdicts | e2e | derpprobe | build | all) part=$argument ;;
    --check) check=-check ;;
    *) echo "run.sh: unknown argument $argument" >&2; exit 2 ;;
  esac
done

work=$(mktemp -d)
child=
# The children of the test programs end with them, even when they are killed.
finish() {
  local status=$?
  if [[ -n $child ]]; then kill -KILL "$child" 2>/dev/null || true; fi
  rm -rf "$work"
  exit "$status"
}
trap finish EXIT
trap 'exit 130' INT
trap 'exit 143' TERM

# In the background and waited for, because bash runs traps only between foreground commands.
attend() {
  "$@" &
  child=$!
  local status=0
  wait "$child" || status=$?
  child=
  return "$status"
}

# Upstream's programs never change within a version, so that existing ones are not built again.
upstream() { # name, go build arguments
  local name=$1
  shift
  if [[ ! -x $cache/$name ]]; then
    echo "building $name $version"
    mkdir -p "$cache"
    (cd "$here" && attend go build -trimpath -o "$cache/$name.$$" "$@")
    mv "$cache/$name.$$" "$cache/$name"
  fi
}

build() {
  upstream derper tailscale.com/cmd/derper
  upstream tailscale tailscale.com/cmd/tailscale
  upstream tailscaled tailscale.com/cmd/tailscaled
  upstream derpprobe tailscale.com/cmd/derpprobe
  # Only with this tag does a daemon outside of a browser speak DERP over WebSocket.
  upstream tailscaled-websocket -tags ts_debug_websockets tailscale.com/cmd/tailscaled
  newer_derper
}

# Its module needs a newer Go, which the go command downloads as a module.
newer_derper() {
  local folder=$TOWPATH_INTEROP_CACHE/$newer_version
  if [[ -x $folder/derper ]]; then return; fi
  echo "building derper $newer_version"
  mkdir -p "$folder"
  (cd "$here/newer" && GOTOOLCHAIN=auto attend go build -trimpath -o "$folder/derper.$$" tailscale.com/cmd/derper)
  mv "$folder/derper.$$" "$folder/derper"
}

compile() { (cd "$here" && attend go test -c -o "$work/$1.test" "./$1"); }

failed=0
run() { # title, then the command
  local title=$1
  shift
  echo "== $title"
  local start=$SECONDS
  if attend "$@" > "$work/log" 2>&1; then
    # The last line of a test program is the number of passed statements; an e2e run prints the actions of the nodes.
    grep -E '^[a-z0-9.-]+: [0-9]+ statements|^ +e2e_test.go' "$work/log" || true
    echo "   ok in $((SECONDS - start)) s"
  else
    cat "$work/log"
    echo "   FAILED after $((SECONDS - start)) s"
    failed=1
  fi
}

conformance() {
  (cd "$here" && attend go vet ./catalogue ./relay ./conformance ./e2e ./derpprobe ./verdicts ./cmd/conformance-report && attend go test ./relay ./catalogue)
  compile conformance
  for relay in $relays; do
    run "conformance of $relay" env RELAY="$relay" CONFORMANCE_RESULTS="$work/$relay.json" \
      "$work/conformance.test" -test.parallel 12 -test.timeout 4m
  done
  if [[ $relays == "$all_relays" ]]; then
    (cd "$here" && attend go run ./cmd/conformance-report -results "$work" -out "$repository/docs/conformance.md" $check) || failed=1
  fi
}

e2e() {
  compile e2e
  for relay in $relays; do
    # The numbers are compared with those of derper; a whole run needs only those of towpath.
    if [[ $part == all && $relay == derper* ]]; then continue; fi
    run "end to end through $relay" env RELAY="$relay" "$work/e2e.test" -test.v -test.timeout 10m
  done
}

# This part does not need our relay: towpath probe and the official client connect to one with any certificate.
verdicts() {
  compile verdicts
  run "probe against the official client" "$work/verdicts.test" -test.timeout 4m
}

derpprobe() {
  compile derpprobe
  for relay in $relays; do
    run "derpprobe of $relay" env RELAY="$relay" "$work/derpprobe.test" -test.v -test.timeout 4m
  done
}

build
case $part in
  build) ;;
  all) conformance; verdicts; e2e; derpprobe ;;
  *) "$part" ;;
esac
exit "$failed"
