#!/usr/bin/env bash
# Prints the path of a Node 26 from npm, and installs it first where it is missing.
set -euo pipefail
version=26.10.0
folder=${XDG_CACHE_HOME:-$HOME/.cache}/towpath-node/$version
if [[ ! -x $folder/node_modules/.bin/node ]]; then
  mkdir -p "$folder"
  npm install --silent --no-save --prefix "$folder" "node@$version" >&2
fi
echo "$folder/node_modules/.bin/node"
