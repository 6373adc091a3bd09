#!/usr/bin/env bash
# Shows where the relay's time goes under closed-loop load: bench/results/flame-NAME.speedscope.json, to be opened with
# `npx speedscope FILE` or at https://www.speedscope.app, and the shares in flame-NAME.json.
#
#   bench/flame.sh after                     this checkout
#   bench/flame.sh before --naive            the same, with a simple data path (bench/preload/naive.ts)
#   bench/flame.sh older /tmp/towpath-old    another one, made with: git worktree add --detach /tmp/towpath-old COMMIT
#
# Takes 15 seconds. With perf installed (and allowed), the output has the shares of kernel, runtime and compiled code too.
set -euo pipefail

usage='usage: bench/flame.sh NAME [CHECKOUT | --naive]'
name=${1:?$usage}
if [[ ! $name =~ ^[a-z0-9-]+$ ]]; then
  echo "$usage; NAME is lower-case letters, digits and hyphens" >&2
  exit 2
fi

# shellcheck source=bench/programs.sh
source "$(dirname "${BASH_SOURCE[0]}")/programs.sh"

naive=
if [[ ${2:-} == --naive ]]; then
  naive=--naive
  shift
fi
checkout=$(cd "${2:-$repository}" && pwd)
# A fresh worktree has no dependencies, and an old one may have had others.
[[ -e $checkout/node_modules ]] || (cd "$checkout" && npm ci --ignore-scripts --omit=dev --no-audit --no-fund)

exec "$repository/node_modules/.bin/node" "$repository/bench/flame.ts" "$name" "$checkout" $naive
