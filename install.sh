#!/bin/sh
# Installs towpath on Linux: the .deb on Debian and Ubuntu, else the executable.
#   sh install.sh                       downloads the newest release from TOWPATH_URL
#   sh install.sh ./towpath_0.1.0_amd64.deb
#   sh install.sh ./towpath-linux-amd64
# If there is a SHA256SUMS next to the artefact, its checksum must match. With SHA256SUMS.minisig and minisign, or with
# SHA256SUMS.sigstore.json and cosign, the signature must match too. Then `towpath setup` starts, unless there is no terminal or
# --no-setup is given.
set -eu

url=${TOWPATH_URL:-}
key=${TOWPATH_MINISIGN_KEY:-}
identity=${TOWPATH_COSIGN_IDENTITY:-}
prefix=${TOWPATH_PREFIX:-/usr/local/bin}
artefact=
setup=yes

fail() {
  echo "install.sh: $1" >&2
  exit 1
}

has() { command -v "$1" > /dev/null 2>&1; }

for argument in "$@"; do
  case $argument in
    --no-setup) setup=no ;;
    -h | --help)
      sed -n '2,8s/^# \{0,1\}//p' "$0"
      exit 0
      ;;
    -*) fail "unknown flag $argument; there are --no-setup and --help" ;;
    *) artefact=$argument ;;
  esac
done

[ "$(uname -s)" = Linux ] || fail "this is $(uname -s); packages are for Linux. With Node: npm install --global towpath, see docs/install.md"
case $(uname -m) in
  x86_64 | amd64) architecture=amd64 ;;
  aarch64 | arm64) architecture=arm64 ;;
  *) fail "there is no package for the processor $(uname -m), only for amd64 and arm64" ;;
esac
if ! getconf GNU_LIBC_VERSION > /dev/null 2>&1; then
  fail 'this system has another C library than glibc (Alpine has musl); use the container image, see docs/install.md'
fi
[ "$(id -u)" = 0 ] || fail 'run it as root: sudo sh install.sh'

family=other
if [ -r /etc/os-release ]; then
  for word in $(. /etc/os-release && echo "${ID:-} ${ID_LIKE:-}"); do
    case $word in debian | ubuntu) family=debian ;; esac
  done
fi

download() {
  if has curl; then
    curl --fail --silent --show-error --location --proto '=https,file' --output "$2" "$1"
  elif has wget; then
    wget --quiet --output-document "$2" "$1"
  else
    fail 'neither curl nor wget is there; download the package yourself and give its path'
  fi
}

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -z "$artefact" ]; then
  [ -n "$url" ] || fail 'say what to install: sh install.sh FILE, or TOWPATH_URL=https://… for the folder of a release'
  echo "Downloading from $url"
  download "$url/SHA256SUMS" "$work/SHA256SUMS"
  for signature in SHA256SUMS.minisig SHA256SUMS.sigstore.json; do
    download "$url/$signature" "$work/$signature" 2> /dev/null || rm -f "$work/$signature"
  done
  pattern="towpath-linux-$architecture"
  [ "$family" = debian ] && pattern="towpath_[^ ]*_$architecture\\.deb"
  name=$(sed -n "s/^[0-9a-f]* [ *]\\($pattern\\)\$/\\1/p" "$work/SHA256SUMS" | head -n 1)
  [ -n "$name" ] || fail "SHA256SUMS at $url lists no package for $architecture"
  download "$url/$name" "$work/$name"
  artefact=$work/$name
fi

[ -f "$artefact" ] || fail "$artefact is not a file"
folder=$(cd "$(dirname "$artefact")" && pwd)
name=$(basename "$artefact")
case $name in
  *.deb) [ "$family" = debian ] || fail "$name is for Debian and Ubuntu; take towpath-linux-$architecture" ;;
esac
case $name in
  *amd64* | *arm64*)
    case $name in *"$architecture"*) ;; *) fail "$name is for another processor; this one is $architecture" ;; esac
    ;;
esac

# The signature first: it shows that the checksums are the right ones.
if [ -f "$folder/SHA256SUMS.minisig" ] && has minisign && [ -n "$key" ]; then
  minisign -Vq -P "$key" -m "$folder/SHA256SUMS" || fail 'the signature of SHA256SUMS is wrong: do not install this'
  echo 'Signature: good (minisign)'
elif [ -f "$folder/SHA256SUMS.sigstore.json" ] && has cosign && [ -n "$identity" ]; then
  cosign verify-blob --bundle "$folder/SHA256SUMS.sigstore.json" --certificate-identity "$identity" \
    --certificate-oidc-issuer https://token.actions.githubusercontent.com "$folder/SHA256SUMS" > /dev/null ||
    fail 'the signature of SHA256SUMS is wrong: do not install this'
  echo 'Signature: good (cosign)'
else
  echo 'Signature: not verified (it needs minisign and TOWPATH_MINISIGN_KEY, or cosign and TOWPATH_COSIGN_IDENTITY)'
fi
if [ -f "$folder/SHA256SUMS" ]; then
  wanted=$(awk -v name="$name" '{ file = $2; sub(/^\*/, "", file) } file == name { print $1; exit }' "$folder/SHA256SUMS")
  [ -n "$wanted" ] || fail "SHA256SUMS does not list $name"
  found=$(sha256sum "$artefact" | cut -d ' ' -f 1)
  [ "$wanted" = "$found" ] || fail "the checksum of $name is wrong: download it again, and do not install this"
  echo 'Checksum: good'
else
  echo "Checksum: not verified, as there is no SHA256SUMS beside $name"
fi

case $name in
  *.deb)
    DEBIAN_FRONTEND=noninteractive apt-get install --yes "$folder/$name"
    program=/usr/bin/towpath
    ;;
  *)
    install -D -m 0755 "$artefact" "$prefix/towpath"
    program=$prefix/towpath
    ;;
esac
"$program" --version

if [ "$setup" = yes ] && [ -t 0 ] && [ -t 1 ] && "$program" setup --help > /dev/null 2>&1; then
  exec "$program" setup
fi
echo 'Next: towpath setup'
