#!/usr/bin/env bash
# Regions of several relays: towpath on Node, towpath on Bun and two releases of Go derper in full mesh, with the official
# client on each. Every relay is killed and restarted once. Takes some two minutes.
#
# Arguments go to the Go test program, for example: run.sh -test.run OfTowpath
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
interop=$here/..
"$interop/run.sh" build
(cd "$interop" && go vet ./relay ./mesh)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
(cd "$interop" && go test -c -o "$work/mesh.test" ./mesh)
cd "$here"
"$work/mesh.test" -test.v -test.timeout 10m "$@"
