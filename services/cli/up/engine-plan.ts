import { join } from "node:path";
import { createEngineId, engineCommonName } from "#federation/model/engine-identity.ts";
import { planeStoreHost } from "#federation/model/plane-store.ts";
import { parseTrustDomainName } from "#federation/model/spiffe-id.ts";
import { engineAddressesMax } from "#federation/runtime/engine-config.ts";
import { engineTlsFiles, etcdArguments, type EngineTlsFiles } from "../engines/etcd-args.ts";
import type { EngineProcess } from "../engines/silent-engines.ts";
import { clusterPlaneUser, globalPlaneUser, natsConfig, type NatsUser } from "../engines/nats-config.ts";
import type { FederationPlan } from "./federation-plan.ts";
import type { PortBlock } from "./port-block.ts";
import type { EngineChoice, PlannedProcess } from "./planned-process.ts";

/** Where the engines' programs are on this machine. */
export interface EnginePrograms {
  readonly etcd: string;
  readonly natsServer: string;
}

/** The engines of a federation, decided when it is made. */
export interface EngineSetup extends EnginePrograms {
  /** Members of each etcd, and nats-servers in each place; absent: one. */
  readonly members?: number;
  /** Each plane has an etcd of its own; absent, as in federations of before: those of one region share one, each with its own prefix. */
  readonly hasStorePerPlane?: boolean;
  /** How long their certificates live; 30 days unless told, as whoever rehearses renewals does. */
  readonly certificateSeconds?: number;
}

/** Of three, one may be lost. */
export const engineMembers = [1, 3] as const;

export interface EnginePlanOptions {
  readonly dataDir: string;
  readonly home: string;
  readonly ports: PortBlock;
  readonly setup: EngineSetup;
}

const address = "127.0.0.1";
/** The place of the global plane's own engines, beside the regions. */
const globalPlace = "global";

/** A process of one engine, with the name that it has in common with the engine's other members. */
interface Member<Ports> {
  readonly engine: string;
  readonly name: string;
  readonly region: string | undefined;
  readonly ports: Ports;
}
type EtcdMember = Member<{ readonly client: number; readonly peer: number }>;
type NatsMember = Member<{ readonly client: number; readonly gateway: number; readonly route?: number }> & { readonly place: string };

/**
 * A real etcd for every plane, and a nats-server for every region and for the global plane, of one member or three. The nats-servers of a place are
 * one of a supercluster's clusters; a plane dials its own region's first.
 */
export function realEngines(plan: FederationPlan, options: EnginePlanOptions): EngineChoice {
  const regionOfOwner = (owner: string): string | undefined => plan.clusters.find((cluster) => cluster.name === owner)?.region;
  const etcds = new Map(storesOf(plan, options.setup).map(({ engine, region, owner }) => [engine, { owner, members: etcdMembers(engine, region, options) }] as const));
  const servers = placesOf(plan).flatMap((place) => natsMembers(place, options));
  const users = planeUsers(plan);
  return {
    needsHub: false,
    processes: [
      ...[...etcds.values()].flatMap(({ owner, members }) => members.map((member) => etcdProcess(member, members, owner, options))),
      ...servers.map((server) => natsProcess(server, servers, users, plan, options)),
    ],
    store: (owner) => {
      const engine = options.setup.hasStorePerPlane === true ? etcdName(owner) : etcdName(regionOfOwner(owner) ?? globalPlace);
      return { kind: "etcd", endpoints: (etcds.get(engine)?.members ?? []).map(({ ports }) => `https://${address}:${ports.client}`) };
    },
    bus: (owner) => {
      const home = regionOfOwner(owner) ?? globalPlace;
      const ordered = [...servers].sort((a, b) => Number(b.place === home) - Number(a.place === home));
      return { kind: "nats", servers: ordered.slice(0, engineAddressesMax).map(({ ports }) => `tls://${address}:${ports.client}`) };
    },
  };
}

/** The names under which `init --engine` makes the certificates that this plan needs, each with its host. */
export function engineCertificates(plan: FederationPlan, setup: EngineSetup): readonly string[] {
  const engines = [...storesOf(plan, setup).map(({ engine }) => engine), ...placesOf(plan).map(natsName)];
  return engines.flatMap((engine) => memberNames(engine, setup).map((name) => (name === engine ? `${name}:${address}` : `${engine}/${name}:${address}`)));
}

/** How long `init` makes certificates of engines and of etcd's administrator live. Pure. */
export function engineLifeArguments({ certificateSeconds }: EngineSetup): readonly string[] {
  return certificateSeconds === undefined ? [] : ["--engine-seconds", String(certificateSeconds)];
}

/** Where the engines among `processes` take connections. Pure. */
export function engineProcesses(processes: readonly Pick<PlannedProcess, "spec">[]): readonly EngineProcess[] {
  return processes.flatMap(({ spec: { name, kind, readyPort } }) => {
    if (kind !== "engine" || readyPort === undefined) return [];
    return [{ name, engine: /-nats(-\d+)?$/.test(name) ? "nats-server" : "etcd", address, port: readyPort } as const];
  });
}

/** How many processes of engines a new federation of this plan has. Pure. */
export function engineCountOf(plan: FederationPlan, members: number): number {
  return members * (plan.clusters.length + 1 + plan.regions.length + 1);
}

/** How many ports they take. Pure. */
export function enginePortsOf(plan: FederationPlan, members: number): number {
  return members * (2 * (plan.clusters.length + 1) + 3 * (plan.regions.length + 1));
}

/** What each plane of a federation may do on its bus. Pure. */
export function planeUsers(plan: { readonly federation: string; readonly clusters: readonly { readonly name: string }[] }): readonly NatsUser[] {
  const prefix = `spiffe://${plan.federation}/atoll/plane`;
  return [globalPlaneUser(`${prefix}/global`), ...plan.clusters.map((cluster) => clusterPlaneUser(`${prefix}/cluster/${cluster.name}`, cluster.name))];
}

function placesOf(plan: FederationPlan): readonly string[] {
  return [globalPlace, ...plan.regions.map((region) => region.name)];
}

/** Every etcd, and the plane whose alone it is. */
function storesOf(plan: FederationPlan, { hasStorePerPlane }: EngineSetup): readonly { readonly engine: string; readonly region: string | undefined; readonly owner?: string }[] {
  if (hasStorePerPlane !== true) return placesOf(plan).map((place) => ({ engine: etcdName(place), region: regionOf(place) }));
  return [{ engine: etcdName(globalPlace), region: undefined, owner: globalPlace }, ...plan.clusters.map(({ name, region }) => ({ engine: etcdName(name), region, owner: name }))];
}

function memberNames(engine: string, { members = 1 }: EngineSetup): readonly string[] {
  return members === 1 ? [engine] : Array.from({ length: members }, (_, index) => `${engine}-${index + 1}`);
}

function etcdMembers(engine: string, region: string | undefined, { ports, setup }: EnginePlanOptions): readonly EtcdMember[] {
  return memberNames(engine, setup).map((name) => ({ engine, name, region, ports: { client: ports.take(`${name}.client`), peer: ports.take(`${name}.peer`) } }));
}

function natsMembers(place: string, { ports, setup }: EnginePlanOptions): readonly NatsMember[] {
  const engine = natsName(place);
  const names = memberNames(engine, setup);
  return names.map((name) => {
    const own = { client: ports.take(`${name}.client`), gateway: ports.take(`${name}.gateway`), ...(names.length === 1 ? {} : { route: ports.take(`${name}.route`) }) };
    return { engine, name, place, region: regionOf(place), ports: own };
  });
}

function etcdProcess(member: EtcdMember, members: readonly EtcdMember[], owner: string | undefined, options: EnginePlanOptions): PlannedProcess {
  const { engine, name, ports } = member;
  const dataDir = join(options.dataDir, name, "etcd");
  const args = etcdArguments({
    name,
    dataDir,
    address,
    clientPort: ports.client,
    peerPort: ports.peer,
    tls: engineFiles(options.dataDir, name),
    ...(owner === undefined ? {} : { clientHost: planeStoreHost(owner) }),
    ...(members.length === 1 ? {} : { cluster: { token: engine, commonName: engineCommonName(engine), members: members.map((other) => ({ name: other.name, address, port: other.ports.peer })) } }),
  });
  return engineProcess(member, { command: options.setup.etcd, args, configText: `${args.join("\n")}\n`, configName: "arguments" }, options);
}

function natsProcess(server: NatsMember, all: readonly NatsMember[], users: readonly NatsUser[], plan: FederationPlan, options: EnginePlanOptions): PlannedProcess {
  const { name, place, ports } = server;
  const tls = engineFiles(options.dataDir, name);
  const peers = all.map((other) => ({ region: other.place, address, port: other.ports.gateway }));
  const routes = all.flatMap((other) => (other.place === place && other.ports.route !== undefined ? [{ address, port: other.ports.route }] : []));
  const spiffeId = createEngineId(parseTrustDomainName(plan.federation), server.engine);
  const configText = natsConfig({
    name,
    address,
    port: ports.client,
    tls,
    users,
    ...(ports.route === undefined ? {} : { cluster: { name: place, address, port: ports.route, tls, spiffeId, routes } }),
    gateway: { region: place, address, port: ports.gateway, tls, peers },
  });
  const configName = "nats.conf";
  return engineProcess(server, { command: options.setup.natsServer, args: ["-c", join(options.dataDir, name, configName)], configText, configName, reloadSignal: "SIGHUP" }, options);
}

interface EngineProgram extends Pick<PlannedProcess["spec"], "command" | "args" | "reloadSignal"> {
  readonly configText: string;
  readonly configName: string;
}

function engineProcess({ name, region, ports }: EtcdMember | NatsMember, engine: EngineProgram, options: EnginePlanOptions): PlannedProcess {
  return {
    stage: "engines",
    configFile: join(options.dataDir, name, engine.configName),
    configText: engine.configText,
    config: {},
    tokens: [],
    spec: {
      name,
      kind: "engine",
      ...(region === undefined ? {} : { region }),
      command: engine.command,
      args: engine.args,
      cwd: options.home,
      logFile: join(options.dataDir, "logs", `${name}.log`),
      readyPort: ports.client,
      ...(engine.reloadSignal === undefined ? {} : { reloadSignal: engine.reloadSignal }),
    },
  };
}

/** The certificate of an engine's member, or of etcd's administrator, of a federation on this machine. */
export function engineFiles(dataDir: string, name: string): EngineTlsFiles {
  return engineTlsFiles(join(dataDir, "global"), name);
}

function regionOf(place: string): string | undefined {
  return place === globalPlace ? undefined : place;
}

function etcdName(owner: string): string {
  return `${owner}-etcd`;
}

function natsName(place: string): string {
  return `${place}-nats`;
}
