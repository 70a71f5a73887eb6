#!/bin/sh
# Sets up eu-2 (10.1.0.20, eu-west) of the federation fed.example. Run it as root, as often as
# you like: what is in place stays, tokens in tokens/ are taken in, and what has what it needs is started.
# usage: sh install.sh [certificates]    certificates: takes in those of its engines and does nothing else.
set -eu
umask 077
here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)
home='/opt/atoll'
config='/etc/atoll'
state='/var/lib/atoll'
cache='/var/cache/atoll'

note() { printf '%s\n' "$*"; }
fail() { printf '%s\n' "$*" >&2; exit 1; }
is_system() { [ "$(id -u)" = 0 ]; }
has_systemd() { is_system && [ -d /run/systemd/system ]; }
user() {
  if is_system && ! id atoll >/dev/null 2>&1; then
    useradd --system --user-group --home-dir "$state" --shell /usr/sbin/nologin atoll
  fi
}
own() { if is_system; then chown atoll:atoll "$1"; fi; }
own_directory() { mkdir -p "$1"; chmod 0700 "$1"; own "$1"; }
put() { # MODE SOURCE TARGET
  [ -f "$2" ] || fail "$2 is not there: see README.md"
  if ! cmp -s "$2" "$3"; then
    case $3 in
      */tls/* | */federation-issuing.pem) ;;
      *) if [ -f "$3" ]; then note "changed: $3; restart what reads it when it suits you"; fi ;;
    esac
    cp "$2" "$3.new"
    chmod "$1" "$3.new"
    own "$3.new"
    mv "$3.new" "$3"
  fi
}
config_file() { put 0640 "$here/config/$1" "$config/$1"; }
unit_file() {
  if has_systemd && ! cmp -s "$here/systemd/$1" "/etc/systemd/system/$1"; then
    cp "$here/systemd/$1" "/etc/systemd/system/$1"
    chmod 0644 "/etc/systemd/system/$1"
  fi
}
units_read() { if has_systemd; then systemctl daemon-reload; fi; }
start() { # UNIT
  if has_systemd; then systemctl enable --now "$1"; note "started: $1"; else note "start: $1"; fi
}
join() { # UNIT TOKEN...
  unit=$1
  shift
  missing=
  for token in "$@"; do
    if [ -s "$here/tokens/$token" ]; then
      put 0600 "$here/tokens/$token" "$config/tokens/$token"
      rm -f "$here/tokens/$token"
    fi
    if [ ! -s "$config/tokens/$token" ]; then missing="$missing tokens/$token"; fi
  done
  if [ -n "$missing" ]; then note "waits: $unit for$missing"; else start "$unit"; fi
}

[ -x "$home/node_modules/.bin/node" ] || fail "there is no Atoll in $home: clone it there and run npm ci"
if [ "${1:-}" = certificates ]; then exit; fi

user
for directory in "$config" "$config/tls" "$config/tokens" "$state" "$cache"; do own_directory "$directory"; done
config_file shop-eu-catalog-proxy.json
unit_file atoll-proxy@.service
units_read

join atoll-proxy@shop-eu-catalog-proxy.service shop-eu-catalog-proxy
