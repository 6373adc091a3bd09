#!/usr/bin/env bash
# Compares towpath with Go derper on this machine, in interleaved rounds.
#
#   bench/run.sh                    short, for CI: under 90 seconds once everything is built
#   bench/run.sh --full             five rounds of every case; keeps JSON in bench/results/, renders docs/performance.md
#   bench/run.sh --help             all flags
#
# TOWPATH_BENCH=full is the same as --full. Needs Go for derper and the load generator, taskset and two CPUs.
set -euo pipefail

# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

# The idle case holds 10,000 connections, each with a file here and one in the relay.
hard=$(ulimit -Hn)
if [[ $hard != unlimited ]] && ((hard < 65536)); then ulimit -Hn 65536 2> /dev/null || true; fi
ulimit -Sn "$(ulimit -Hn)"

exec "$repository/node_modules/.bin/node" "$repository/bench/relay.ts" "$@"
