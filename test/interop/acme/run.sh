#!/usr/bin/env bash
# Obtains and renews certificates from pebble, a small certificate authority that refuses some requests on purpose.
#
#   run.sh [PATTERN]     only the cases whose name matches
#
# TOWPATH_INTEROP_RUNTIME=bun runs the relays on Bun.
#
# Installs the Debian package pebble where it is missing (as root). Needs openssl. Takes about a minute.
set -euo pipefail

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
repository=$(cd "$here/../../.." && pwd)
node=${TOWPATH_NODE:-$repository/node_modules/.bin/node}

if ! command -v pebble > /dev/null || ! command -v pebble-challtestsrv > /dev/null; then
  apt-get -o Acquire::Retries=5 update -qq
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=5 install -y -qq --no-install-recommends pebble > /dev/null
fi

exec "$node" "$here/run.ts" "$@"
