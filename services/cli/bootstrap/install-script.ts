import { issuingCertificate } from "./federation-keys.ts";
import type { Machine, MachineLayout } from "./machine-layout.ts";
import { enginePrograms, unitFiles, unitOf } from "./systemd-units.ts";

/**
 * The script that sets a machine up: plain sh, to be run as root, again after every change and with every new token. Where
 * there is no systemd, or the machine's files lie under a root of their own, it starts nothing and says what to start. Pure.
 */
export function installScript(machine: Machine, { description, placement }: MachineLayout): string {
  const { host, paths, processes, engines } = machine;
  const isGlobal = placement.globalHost === host.name;
  const configs = [...(engines === undefined ? [] : ["etcd.env", "nats.conf"]), ...processes.map(({ name }) => `${name}.json`)];
  const units = [...unitFiles(machine).keys()];
  const lines = [
    "#!/bin/sh",
    `# Sets up ${host.name} (${host.address}, ${host.region}) of the federation ${description.trustDomain}. Run it as root, as often as`,
    "# you like: what is in place stays, tokens in tokens/ are taken in, and what has what it needs is started.",
    `# usage: sh install.sh [certificates]    certificates: takes in those of its engines${isGlobal ? ", and what the global plane issues by," : ""} and does nothing else.`,
    "set -eu",
    "umask 077",
    'here=$(CDPATH="" cd -- "$(dirname -- "$0")" && pwd)',
    `home='${paths.home}'`,
    `config='${paths.config}'`,
    `state='${paths.state}'`,
    `cache='${paths.cache}'`,
    library(host.root === ""),
    ...(engines === undefined ? [] : [certificates]),
    ...(isGlobal ? [issuing] : []),
    '[ -x "$home/node_modules/.bin/node" ] || fail "there is no Atoll in $home: clone it there and run npm ci"',
    ...(engines === undefined ? [] : [`[ -x ${enginePrograms.etcd} ] || note "there is no ${enginePrograms.etcd} yet: install etcd"`, `[ -x ${enginePrograms.natsServer} ] || note "there is no ${enginePrograms.natsServer} yet: install nats-server 2.12.6 or newer"`]),
    `if [ "\${1:-}" = certificates ]; then ${isGlobal ? "issuing; " : ""}${engines === undefined ? "" : "certificates; reload; "}exit; fi`,
    "",
    "user",
    'for directory in "$config" "$config/tls" "$config/tokens" "$state" "$cache"; do own_directory "$directory"; done',
    ...configs.map((name) => `config_file ${name}`),
    ...(engines === undefined ? [] : ["certificates", '[ -z "$renewed" ] || reload']),
    ...(isGlobal
      ? ['own_directory "$state/global"', 'for file in "$here"/keys/*; do put 0600 "$file" "$state/global/$(basename "$file")"; done']
      : []),
    ...units.map((name) => `unit_file ${name}`),
    "units_read",
    "",
    ...(engines === undefined ? [] : ["start atoll-etcd.service", "start atoll-nats.service"]),
    ...processes.map((process) => (process.tokens.length === 0 ? `start ${unitOf(process)}` : `join ${unitOf(process)} ${process.tokens.map(({ file }) => file).join(" ")}`)),
    "",
  ];
  return lines.join("\n");
}

/**
 * Etcd reads its files at each handshake, nats-server when it is told to. The key, which seldom changes, comes first; where only the certificate
 * does, no reader meets a pair that does not fit. Whoever brings certificates has nats-server told in any case, since an earlier try may have ended
 * before that; with all the rest it is told of a change alone, since one that is starting would take the signal for its end.
 */
const certificates = `certificates() {
  renewed=
  if [ -f "$config/tls/engine.pem" ] && ! cmp -s "$here/tls/engine.pem" "$config/tls/engine.pem"; then renewed=yes; fi
  put 0644 "$here/tls/ca.pem" "$config/tls/ca.pem"
  put 0600 "$here/tls/engine.key" "$config/tls/engine.key"
  put 0644 "$here/tls/engine.pem" "$config/tls/engine.pem"
}
reload() {
  if ! has_systemd; then note "reload: atoll-nats.service"
  elif systemctl is-active --quiet atoll-nats.service; then systemctl kill --signal=HUP atoll-nats.service; note "reloaded: atoll-nats.service"; fi
}
`;

/** The global plane reads it at each issue. It is not there where nobody has brought one yet. */
const issuing = `issuing() { [ ! -f "$here/keys/${issuingCertificate}" ] || put 0600 "$here/keys/${issuingCertificate}" "$state/global/${issuingCertificate}"; }
`;

/** The functions of the script. `isSystem`: its files are those of the system itself. */
function library(isSystem: boolean): string {
  // Files under a root of their own are a rehearsal, of whoever runs it.
  const system = isSystem ? '[ "$(id -u)" = 0 ]' : "false";
  return `
note() { printf '%s\\n' "$*"; }
fail() { printf '%s\\n' "$*" >&2; exit 1; }
is_system() { ${system}; }
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
      */tls/* | */${issuingCertificate}) ;;
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
`;
}
