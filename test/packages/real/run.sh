#!/usr/bin/env bash
# Builds the real programs that test/packages/real/run.ts needs, and runs it. Needs root. Takes about five minutes, and at the first
# time more for the programs.
set -euo pipefail
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$here/../../..
cd "$repository"
export PEER_RELAY_COMMAND=$here/run.ts
exec "$repository/test/interop/peer-relay/run.sh" "$@"
