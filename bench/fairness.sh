#!/usr/bin/env bash
# Measures how fairly towpath shares, with "towpath load", on both runtimes; keeps bench/results/DATE-MACHINE-fairness.json.
#
#   bench/fairness.sh                 three rounds of every case: some 8 minutes
#   bench/fairness.sh --rounds 1 --seconds 3 --stalled 200 --cases cap --dry    a trial, of which nothing is kept
set -euo pipefail

# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

# 5,000 receivers that stop reading, on either side.
ulimit -Sn "$(ulimit -Hn)"

exec "$repository/node_modules/.bin/node" "$repository/bench/fairness.ts" "$@"
