#!/usr/bin/env bash
# Draws where the relay's time goes under closed-loop load: bench/results/flame-NAME.svg, and the shares as JSON.
#
#   bench/flame.sh after                     this checkout
#   bench/flame.sh before /tmp/towpath-old   another one, made with: git worktree add /tmp/towpath-old COMMIT
#
# Takes 15 seconds. With perf installed (and allowed) the shares of kernel, runtime and compiled code come along.
set -euo pipefail

# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

name=${1:?usage: bench/flame.sh NAME [CHECKOUT]}
checkout=$(cd "${2:-$repository}" && pwd)
# A fresh worktree has no dependencies, and an old one may have had others.
[[ -e $checkout/node_modules ]] || (cd "$checkout" && npm ci --ignore-scripts --omit=dev --no-audit --no-fund)

exec "$repository/node_modules/.bin/node" "$repository/bench/flame.ts" "$name" "$checkout"
