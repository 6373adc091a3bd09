#!/usr/bin/env bash
# Regions of several relays: towpath on Node, towpath on Bun and two releases of Go derper in full mesh, with the official
# client on each. Every relay is killed and restarted once. Then the statements about the mesh, of towpath on Bun: on Node
# they are part of the conformance suite. Takes about two minutes.
#
# Arguments go to the Go test program of the regions, which then runs alone, for example: run.sh -test.run OfTowpath
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
if [[ $# == 0 ]]; then
  (cd "$interop" && go test -c -o "$work/conformance.test" ./conformance)
  RELAY=towpath TOWPATH_INTEROP_RUNTIME=bun "$work/conformance.test" -test.timeout 4m \
    -test.run 'TestS(4[2-9]|5[0-7]|60|89|9[0-4]|96|109)_'
fi
