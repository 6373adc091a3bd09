#!/usr/bin/env bash
# Builds Traefik from its Go module into the cache and prints its path. Without a build cache this takes more than seven minutes of
# processor time and 2 GB of build cache, which is why CI does without.
#
# Three parts of it are not on the Go proxy, and a relay needs none of them. They are replaced by smaller ones: no DNS
# providers for ACME (more than a hundred, which shortens the build too), basic and digest authentication that refuse
# all users, and an empty module for extensions.
set -euo pipefail

version=v3.7.13
sum='h1:T8wy9KuaFzCkmXCqAzDy7t73pBDR1DHrJe3pqXpNXTw='
cache=${TOWPATH_INTEROP_CACHE:-$HOME/.cache/towpath-interop}/traefik-$version

module() { # module@version, expected sum or nothing; prints its folder in the module cache
  go mod download -json "$1" | {
    answer=$(cat)
    if [[ -n ${2:-} && $answer != *"\"Sum\": \"$2\""* ]]; then
      echo "build.sh: $1 has another sum than $2" >&2
      return 1
    fi
    sed -n 's/.*"Dir": "\(.*\)".*/\1/p' <<< "$answer"
  }
}

build() { # folder to work in
  local traefik lego auth
  traefik=$(module "github.com/traefik/traefik/v3@$version" "$sum")
  cp -r --no-preserve=mode "$traefik"/{cmd,pkg,webui,go.mod,go.sum} "$1"
  cd "$1"

  mkdir pkg/config/dynamic/ext
  printf 'module github.com/traefik/traefik/dynamic/ext\n' > pkg/config/dynamic/ext/go.mod
  cat > pkg/config/dynamic/ext/ext.go << 'GO'
package ext

type HTTP struct{}

func (in *HTTP) DeepCopyInto(out *HTTP) { *out = *in }

type Router struct{}

func (in *Router) DeepCopyInto(out *Router) { *out = *in }
GO

  lego=$(module "github.com/go-acme/lego/v5@$(go list -m -f '{{.Version}}' github.com/go-acme/lego/v5)")
  cp -r --no-preserve=mode "$lego" lego
  cat > lego/providers/dns/zz_gen_dns_providers.go << 'GO'
package dns

import (
	"errors"

	"github.com/go-acme/lego/v5/challenge"
)

func NewDNSChallengeProviderByName(string) (challenge.Provider, error) {
	return nil, errors.New("built without DNS providers")
}
GO

  auth=$(module github.com/abbot/go-http-auth@v0.4.0)
  cp -r --no-preserve=mode "$auth" auth
  # This repository is older than Go modules.
  printf 'module github.com/abbot/go-http-auth\n' > auth/go.mod
  cat > auth/towpath.go << 'GO'
package auth

import "net/http"

func CheckSecret(string, string) bool { return false }

func (a *DigestAuth) RequireAuthStale(w http.ResponseWriter, r *http.Request) { a.RequireAuth(w, r) }
GO

  go mod edit -replace github.com/go-acme/lego/v5=./lego -replace github.com/abbot/go-http-auth=./auth
  go build -mod=mod -trimpath -ldflags '-s -w' -o traefik ./cmd/traefik
}

if [[ ! -x $cache/traefik ]]; then
  echo "building traefik $version, which takes some minutes" >&2
  mkdir -p "$cache"
  work=$(mktemp -d)
  trap 'rm -rf "$work"' EXIT
  (build "$work")
  mv "$work/traefik" "$cache/traefik.$$"
  mv "$cache/traefik.$$" "$cache/traefik"
fi
echo "$cache/traefik"
