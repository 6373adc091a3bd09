#!/usr/bin/env bash
# Measures the fairness of towpath with "towpath load", on both runtimes; keeps bench/results/DATE-MACHINE-fairness.json.
#
#   bench/fairness.sh                 three rounds of every case: about 8 minutes
#   bench/fairness.sh --rounds 1 --seconds 3 --stalled 200 --cases cap --dry    a trial without stored results
set -euo pipefail

# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

# 5,000 receivers that stop reading: a file here and one in the relay for each.
ulimit -Sn "$(ulimit -Hn)"

# The kernel setting of deploy/sysctl, if this machine allows it; restored at the end.
setting=/proc/sys/net/ipv4/tcp_notsent_lowat
if [[ -w $setting ]]; then
  before=$(< "$setting")
  trap 'echo "$before" > "$setting"' EXIT
  sed -n 's/^net.ipv4.tcp_notsent_lowat = //p' "$repository/deploy/sysctl/90-towpath.conf" > "$setting"
fi

"$repository/node_modules/.bin/node" "$repository/bench/fairness.ts" "$@"
