#!/usr/bin/env bash
# Measures how long two real tailscaled do not reach each other while their relay is replaced by its next version, compared with a
# derper that is restarted: builds what is needed, then runs bench/upgrade.ts. Needs root. Takes a minute per round.
set -euo pipefail
# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"
(cd "$repository" && npm run --silent build:binary)
export PEER_RELAY_COMMAND="$repository/bench/upgrade.ts"
exec "$repository/test/interop/peer-relay/run.sh" "$@"
