#!/bin/sh
# Makes the files that the relays of a private region share: make-certificates.sh FOLDER NAME...
# A mesh key, a certificate authority, a certificate for each NAME, a DNS name or an IP address, and the password and the
# configuration of a Valkey or Redis server. Needs openssl.
# Existing files stay, so that a further relay gets its certificate from the same authority.
set -eu
folder=$1
shift
umask 077
mkdir -p "$folder"
cd "$folder"
[ -e mesh.key ] || openssl rand -hex 32 > mesh.key
[ -e valkey-password ] || openssl rand -hex 32 > valkey-password
if [ ! -e valkey.conf ]; then
  printf 'requirepass %s\nsave ""\nappendonly no\n' "$(cat valkey-password)" > valkey.conf
fi
new="-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes"
if [ ! -e authority.pem ]; then
  # shellcheck disable=SC2086
  openssl req -x509 $new -days 3650 -subj '/CN=towpath region' -keyout authority.key -out authority.pem 2> /dev/null
fi
for name in "$@"; do
  [ ! -e "$name.crt" ] || continue
  case $name in
    *:* | *[0-9].[0-9]*.[0-9]*.[0-9]*) kind=IP ;;
    *) kind=DNS ;;
  esac
  # shellcheck disable=SC2086
  openssl req -x509 $new -days 825 -subj "/CN=$name" -addext "subjectAltName=$kind:$name" \
    -addext 'basicConstraints=critical,CA:FALSE' -CA authority.pem -CAkey authority.key \
    -keyout "$name.key" -out "$name.crt" 2> /dev/null
done
# The image runs as user 65532.
if [ "$(id -u)" = 0 ]; then chown -R 65532:65532 .; fi
