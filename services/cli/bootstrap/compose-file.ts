import { createHash } from "node:crypto";
import { stringify } from "yaml";
import { etcdAdministrator } from "#federation/model/engine-identity.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import { engineTlsFiles } from "../engines/etcd-args.ts";
import type { FederationPlan } from "../up/federation-plan.ts";
import { composeApps, type ComposeApp } from "./compose-apps.ts";
import { composeNetworks, type ComposeNetwork } from "./compose-networks.ts";
import { engineArguments, engineFiles } from "./engine-files.ts";
import type { Machine, MachineLayout, MachineProcess } from "./machine-layout.ts";

/** Numbers of the image's user; the engines run as it too. */
const user = "10001:10001";
const atollImage = "${ATOLL_IMAGE:-atoll:0.1.0}";
const appImage = "${APP_IMAGE:-atoll:0.1.0}";
const etcdImage = "${ETCD_IMAGE:-quay.io/coreos/etcd:v3.5.35}";
const natsImage = "${NATS_IMAGE:-nats:2.12}";
/** Above `drainMs`, so that an orderly end is not cut short. */
export const stopGraceSeconds = 40;
/** Nothing else of the machine can be written to. */
const writable = ["/var/cache/atoll:uid=10001,mode=0700", "/tmp:mode=1777"];

/** A root that nothing can write to, as little as the kernel lets a process have, and no way to more. */
const hardened = { read_only: true, cap_drop: ["ALL"], security_opt: ["no-new-privileges:true"] } as const;

/** Services that the script runs by name, each until it is done; not with the rest. */
const oneOffServices = ["files", "secure-engines"] as const;

/** What names a machine. */
interface OfMachine {
  readonly host: { readonly name: string };
}

/** The service that is a machine, whose network its programs share as the containers of a pod do. */
export function machineService({ host }: OfMachine): string {
  return host.name;
}

/** The service of one program on a machine. Names of hosts hold no dot, so none is meant twice. */
export function programService({ host }: OfMachine, program: string): string {
  return `${host.name}.${program}`;
}

/** What is made into a compose file. */
export interface ComposeSource {
  readonly layout: MachineLayout;
  readonly plan: FederationPlan;
  /** Directories of the file's commands are relative to it. */
  readonly baseDir: string;
}

/**
 * A compose file that runs all machines as containers of one engine: a network for each region, in which its machines have the addresses of the
 * file; machines of other regions visit it, so that a region is cut off by disconnecting them. Pure.
 * @throws {ATOLL_USAGE} when the addresses of the machines are not ones that such networks can have, or a host has the name of a service of ours.
 * @see https://github.com/compose-spec/compose-spec/blob/main/spec.md
 */
export function composeText(source: ComposeSource): string {
  const { layout } = source;
  const networks = composeNetworks(layout);
  refuseOwnNames(layout);
  const services = Object.fromEntries([["files", filesService(layout)], ["secure-engines", secureService(networks)], ...layout.machines.flatMap((machine) => machineServices(machine, source, networks.map(({ region }) => region)))]);
  const volumes = Object.fromEntries(layout.machines.flatMap((machine) => volumesOf(machine).map((name) => [name, {}])));
  const file = {
    networks: Object.fromEntries(networks.map(({ region, subnet, visitors }) => [region, { driver: "bridge", internal: true, ipam: { config: [{ subnet, ip_range: visitors }] } }])),
    volumes,
    services,
  };
  return `# The federation ${layout.description.trustDomain} in containers of one engine; compose.sh brings it up.\n${stringify(file, { lineWidth: 0, aliasDuplicateObjects: false })}`;
}

/** A host is a service by its name, as ours are. */
function refuseOwnNames({ machines }: MachineLayout): void {
  const taken = machines.map(machineService).find((name) => oneOffServices.some((own) => own === name));
  if (taken !== undefined) throw new AtollError("ATOLL_USAGE", `no compose file can be made of this federation: ${taken} is a service of its own there, and no name for a host`);
}

function machineServices(machine: Machine, { layout, plan, baseDir }: ComposeSource, regions: readonly string[]): readonly (readonly [string, object])[] {
  const { host, engines, processes } = machine;
  const attachments = Object.fromEntries(regions.map((region) => [region, region === host.region ? { ipv4_address: host.address } : {}]));
  const ports = engines === undefined ? [] : [engines.etcdPort, engines.natsPort];
  const accepts = ports.map((port) => `exec 3<>/dev/tcp/${host.address}/${port}`).join(" && ");
  const services: [string, object][] = [
    [
      machineService(machine),
      // It holds the network while programs come and go, and says whether the engines accept connections: their own images have no shell.
      { image: atollImage, entrypoint: ["sleep", "infinity"], ...hardened, stop_signal: "SIGKILL", restart: "unless-stopped", networks: attachments, healthcheck: check(accepts === "" ? ["CMD", "true"] : ["CMD", "bash", "-c", accepts]) },
    ],
  ];
  if (engines !== undefined) {
    const shared = { ...hardened, user, network_mode: `service:${machineService(machine)}`, restart: "unless-stopped", healthcheck: { disable: true } };
    services.push(
      [programService(machine, "etcd"), { image: etcdImage, entrypoint: ["etcd", ...engineArguments(machine, layout)], ...shared, volumes: [`${volume(machine, "etc")}:/etc/atoll:ro`, `${volume(machine, "etcd")}:/var/lib/atoll/etcd`] }],
      [programService(machine, "nats"), { image: natsImage, entrypoint: ["nats-server", "-c", "/etc/atoll/nats.conf"], ...shared, labels: configured(engineFiles(machine, layout, plan).get("nats.conf") ?? ""), volumes: [`${volume(machine, "etc")}:/etc/atoll:ro`] }],
    );
  }
  for (const process of processes) services.push([programService(machine, process.name), atollService(machine, process)]);
  for (const app of composeApps(machine, layout, baseDir)) services.push([programService(machine, app.name), appService(machine, app)]);
  return services;
}

/** An application sees its own directory and nothing of Atoll's. */
function appService(machine: Machine, { directory, words, variables }: ComposeApp): object {
  return {
    image: appImage,
    entrypoint: words.map(literal),
    working_dir: "/app",
    ...hardened,
    network_mode: `service:${machineService(machine)}`,
    restart: "unless-stopped",
    tmpfs: ["/tmp:mode=1777"],
    environment: Object.fromEntries(Object.entries(variables).map(([name, value]) => [name, literal(value)])),
    // Its sidecar asks whether it is ready.
    healthcheck: { disable: true },
    volumes: [{ type: "bind", source: literal(directory), target: "/app", read_only: true }],
  };
}

/** Text in which compose is to replace nothing. */
function literal(text: string): string {
  return text.replaceAll("$", "$$$$");
}

/** Another configuration is another container: without this, compose would leave one running on what it read. */
function configured(text: string): Readonly<Record<string, string>> {
  return { "atoll.config": createHash("sha256").update(text).digest("hex").slice(0, 16) };
}

function atollService(machine: Machine, process: MachineProcess): object {
  const { name, program } = process;
  return {
    image: atollImage,
    command: [program, ...(program === "proxy" ? [] : ["run"]), "--config", `/etc/atoll/${name}.json`],
    ...hardened,
    network_mode: `service:${machineService(machine)}`,
    restart: "unless-stopped",
    labels: configured(JSON.stringify(process.config)),
    stop_grace_period: `${stopGraceSeconds}s`,
    tmpfs: writable,
    environment: { ATOLL_HEALTH: healthPage(process) },
    healthcheck: check(["CMD", "/opt/atoll/infra/images/health"]),
    volumes: [`${volume(machine, "etc")}:/etc/atoll:ro`, `${volume(machine, name)}:/var/lib/atoll/${name}`],
  };
}

/** What `infra/images/health` asks on loopback. */
export function healthPage({ config }: MachineProcess): string {
  const { metricsPort } = (config["listen"] ?? {}) as { readonly metricsPort?: number };
  const { admin } = (config["ports"] ?? {}) as { readonly admin?: number };
  return metricsPort === undefined ? `${admin}/ready` : `${metricsPort}/metrics`;
}

/**
 * Deals the machines that $MACHINES names their files, as install.sh does on real ones: secrets belong to the programs' user alone, and tokens
 * are moved. It may change owners and has no network.
 */
function filesService({ machines }: MachineLayout): object {
  const script = [
    "umask 077",
    "for machine in $$MACHINES; do",
    "  source=/hosts/$$machine",
    "  target=/machines/$$machine",
    "  mkdir -p $$target/etc/tls $$target/etc/tokens",
    "  cp $$source/config/* $$target/etc/",
    // Each whole or not at all, its owner's from the first moment: engines that run read them at any time.
    "  for file in $$source/tls/*; do",
    "    [ -f $$file ] || continue",
    "    new=$$target/etc/tls/.new",
    `    cp $$file $$new && chown ${user} $$new && mv $$new $$target/etc/tls/$\${file##*/}`,
    "  done",
    "  if [ -d $$source/tokens ]; then cp $$source/tokens/* $$target/etc/tokens/; rm -r $$source/tokens; fi",
    "  if [ -d $$source/keys ]; then cp $$source/keys/* $$target/global/; fi",
    `  chown -R ${user} $$target/*`,
    "  if [ -d $$target/etcd ]; then chmod 0700 $$target/etcd; fi",
    "done",
  ].join("\n");
  return {
    image: atollImage,
    profiles: ["files"],
    entrypoint: ["sh", "-euc", script],
    user: "0:0",
    ...hardened,
    cap_add: ["CHOWN", "DAC_OVERRIDE", "FOWNER"],
    network_mode: "none",
    environment: { MACHINES: machines.map(machineService).join(" ") },
    healthcheck: { disable: true },
    volumes: ["./hosts:/hosts", ...machines.flatMap((machine) => machineVolumes(machine).map((name) => `${volume(machine, name)}:/machines/${machine.host.name}/${name}`))],
  };
}

/**
 * Tells etcds which planes may use them (`--region NAME`), from a network of each region. The administrator's certificate is seen by it alone and
 * while it runs; those are files of whoever runs the script, which is why it may read what is not its own.
 */
function secureService(networks: readonly ComposeNetwork[]): object {
  const bind = (source: string, target: string): object => ({ type: "bind", source, target, read_only: true });
  return {
    image: atollImage,
    profiles: ["secure-engines"],
    entrypoint: ["/opt/atoll/infra/images/entrypoint", "cli", "secure-engines", "/federation.yaml", "--keys", "/keys"],
    user: "0:0",
    ...hardened,
    cap_add: ["DAC_OVERRIDE"],
    networks: networks.map(({ region }) => region),
    healthcheck: { disable: true },
    volumes: [bind("./federation.yaml", "/federation.yaml"), ...Object.values(engineTlsFiles("keys", etcdAdministrator)).map((path) => bind(`./${path}`, `/${path}`))],
  };
}

/** A machine's volumes, by what is in them: its configuration, and the state of each program. */
export function machineVolumes({ processes, engines }: Machine): readonly string[] {
  return ["etc", ...(engines === undefined ? [] : ["etcd"]), ...processes.map(({ name }) => name)];
}

function volumesOf(machine: Machine): readonly string[] {
  return machineVolumes(machine).map((name) => volume(machine, name));
}

/** The volume's name in the compose file. */
export function volume({ host }: OfMachine, name: string): string {
  return `${host.name}.${name}`;
}

function check(test: readonly string[]): object {
  return { test, interval: "5s", timeout: "5s", retries: 12, start_period: "60s" };
}
