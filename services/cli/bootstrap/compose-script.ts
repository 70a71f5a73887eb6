import { applyCommand, type ResourceFile } from "../up/resource-files.ts";
import { machineService, programService } from "./compose-file.ts";
import type { Machine, MachineLayout, MachineStage } from "./machine-layout.ts";

/** How often each step is tried again, a second apart, before the script gives up: images start within seconds, on a busy machine a minute. */
const triesMax = 180;

/** The script that brings the compose file up: the steps of the instructions, with containers for machines. It may be run again at any time. Pure. */
export function composeScript(layout: MachineLayout, files: { readonly places: readonly ResourceFile[]; readonly services: readonly ResourceFile[] }): string {
  const { description, placement, machines } = layout;
  const global = machines.filter(({ host }) => host.name === placement.globalHost);
  const apply = (list: readonly ResourceFile[]): readonly string[] => list.map((file) => `again ${applyCommand(file, `resources/${file.name}`)}`);
  const engines = machines.filter((machine) => machine.engines !== undefined).flatMap((machine) => [programService(machine, "etcd"), programService(machine, "nats")]);
  const lines = [
    "#!/bin/sh",
    `# Brings the federation ${description.trustDomain} up in containers, from the keys to its proxies; what has joined stays joined.`,
    '# COMPOSE and ATOLL name the programs; ATOLL_IMAGE, ETCD_IMAGE and NATS_IMAGE the images. "sh compose.sh down" removes all of it.',
    "set -eu",
    "umask 077",
    'cd "$(dirname -- "$0")"',
    `compose() { \${COMPOSE:-docker compose} -p ${description.name} -f compose.yaml "$@"; }`,
    'atoll() { ${ATOLL:-npx atoll} --context context.json "$@"; }',
    "again() {",
    "  tries=0",
    '  until "$@"; do',
    "    tries=$((tries + 1))",
    `    [ "$tries" -lt ${triesMax} ] || { echo "given up: $*" >&2; exit 1; }`,
    "    sleep 1",
    "  done",
    "}",
    "token() { # MACHINE PROGRAM FILE PURPOSE...",
    "  program=$2",
    "  tokens=hosts/$1/tokens",
    "  file=$3",
    "  shift 3",
    // What runs has joined, or is about to.
    '  if compose exec -T "$program" true 2>/dev/null; then return; fi',
    // Whatever fails is tried again as a whole: the shell stops at nothing inside of a condition.
    '  mkdir -p "$tokens" && atoll token create "$@" >"$tokens.new" && mv "$tokens.new" "$tokens/$file"',
    "}",
    'if [ "${1:-up}" = down ]; then',
    "  compose down --volumes --remove-orphans",
    "  rm -rf admin-context.json hosts/*/tokens",
    "  exit",
    "fi",
    '[ -d keys ] || { echo "there are no keys here: atoll bootstrap --init makes them" >&2; exit 1; }',
    "",
    "compose run --rm files",
    `compose up -d ${machines.map((machine) => machineService(machine)).join(" ")}`,
    `compose up -d ${[...engines, ...global.map((machine) => programService(machine, "global"))].join(" ")}`,
    ...global.map((machine) => `context() { compose exec -T ${programService(machine, "global")} cat /var/lib/atoll/global/admin-context.json >admin-context.json; }`),
    "again context",
    ...apply(files.places),
    ...stage(machines, "signers"),
    ...stage(machines, "planes"),
    ...apply(files.services),
    ...(description.relationships.length === 0 ? [] : ["again atoll relationship declare federation.yaml"]),
    ...description.relationships.map(({ name, caller, callee }) => `again atoll relationship approve ${name} --as ${caller.trustDomain} --as ${callee.trustDomain}`),
    ...stage(machines, "proxies"),
    // Applications may still have to come.
    "atoll status || true",
    "",
  ];
  return lines.join("\n");
}

function stage(machines: readonly Machine[], wanted: MachineStage): readonly string[] {
  const started = machines.flatMap((machine) => machine.processes.filter((process) => process.stage === wanted).map((process) => ({ machine, process })));
  if (started.length === 0) return [];
  return [
    ...started.flatMap(({ machine, process }) => process.tokens.map(({ file, purpose, cluster }) => `again token ${machine.host.name} ${programService(machine, process.name)} ${file} ${purpose}${cluster === undefined ? "" : ` --cluster ${cluster}`}`)),
    "compose run --rm files",
    `compose up -d ${started.map(({ machine, process }) => programService(machine, process.name)).join(" ")}`,
  ];
}
