import { join } from "node:path";
import { etcdArguments, type EngineTlsFiles } from "../engines/etcd-args.ts";
import { clusterPlaneUser, globalPlaneUser, natsConfig, type NatsUser } from "../engines/nats-config.ts";
import type { FederationPlan } from "./federation-plan.ts";
import type { PortBlock } from "./port-block.ts";
import type { EngineChoice, PlannedProcess } from "./planned-process.ts";

/** Where the engines' programs are on this machine. */
export interface EnginePrograms {
  readonly etcd: string;
  readonly natsServer: string;
}

export interface EnginePlanOptions {
  readonly dataDir: string;
  readonly home: string;
  readonly ports: PortBlock;
  readonly programs: EnginePrograms;
}

const address = "127.0.0.1";
/** The place of the global plane's own engines, beside the regions. */
const globalPlace = "global";

interface NatsPlace {
  readonly place: string;
  readonly clientPort: number;
  readonly gatewayPort: number;
}

/**
 * A real etcd and a nats-server for every region and for the global plane; planes of one region keep apart in its etcd
 * by their prefix. The nats-servers are joined by gateways into a supercluster; a plane dials its own region's first.
 */
export function realEngines(plan: FederationPlan, options: EnginePlanOptions): EngineChoice {
  const { ports } = options;
  const places = [globalPlace, ...plan.regions.map((region) => region.name)];
  const placeOf = (owner: string): string => plan.clusters.find((cluster) => cluster.name === owner)?.region ?? globalPlace;
  const stores = new Map(places.map((place) => [place, { clientPort: ports.take(`${etcdName(place)}.client`), peerPort: ports.take(`${etcdName(place)}.peer`) }]));
  const servers: readonly NatsPlace[] = places.map((place) => ({ place, clientPort: ports.take(`${natsName(place)}.client`), gatewayPort: ports.take(`${natsName(place)}.gateway`) }));
  const users = planeUsers(plan);
  return {
    needsHub: false,
    processes: [
      ...[...stores].map(([place, store]) => etcdProcess(place, store, options)),
      ...servers.map((server) => natsProcess(server, servers, users, options)),
    ],
    store: (owner) => ({ kind: "etcd", endpoints: [`https://${address}:${stores.get(placeOf(owner))?.clientPort}`] }),
    bus: (owner) => {
      const home = placeOf(owner);
      const ordered = [...servers].sort((a, b) => Number(b.place === home) - Number(a.place === home));
      return { kind: "nats", servers: ordered.map((server) => `tls://${address}:${server.clientPort}`) };
    },
  };
}

/** The names under which `init --engine` makes the certificates that this plan needs, each with its host. */
export function engineCertificates(plan: FederationPlan): readonly string[] {
  const places = [globalPlace, ...plan.regions.map((region) => region.name)];
  return places.flatMap((place) => [etcdName(place), natsName(place)]).map((name) => `${name}:${address}`);
}

/** What each plane of a federation may do on its bus. Pure. */
export function planeUsers(plan: { readonly federation: string; readonly clusters: readonly { readonly name: string }[] }): readonly NatsUser[] {
  const prefix = `spiffe://${plan.federation}/atoll/plane`;
  return [globalPlaneUser(`${prefix}/global`), ...plan.clusters.map((cluster) => clusterPlaneUser(`${prefix}/cluster/${cluster.name}`, cluster.name))];
}

function etcdProcess(place: string, store: { readonly clientPort: number; readonly peerPort: number }, options: EnginePlanOptions): PlannedProcess {
  const name = etcdName(place);
  const dataDir = join(options.dataDir, name, "etcd");
  const args = etcdArguments({ name, dataDir, address, clientPort: store.clientPort, peerPort: store.peerPort, tls: tlsFiles(options.dataDir, name) });
  return engineProcess(name, { region: regionOf(place), command: options.programs.etcd, args, readyPort: store.clientPort, configText: `${args.join("\n")}\n`, configName: "arguments" }, options);
}

function natsProcess(server: NatsPlace, all: readonly NatsPlace[], users: readonly NatsUser[], options: EnginePlanOptions): PlannedProcess {
  const name = natsName(server.place);
  const tls = tlsFiles(options.dataDir, name);
  const peers = all.map((other) => ({ region: other.place, address, port: other.gatewayPort }));
  const configText = natsConfig({ name, address, port: server.clientPort, tls, users, gateway: { region: server.place, address, port: server.gatewayPort, tls, peers } });
  const configName = "nats.conf";
  return engineProcess(name, { region: regionOf(server.place), command: options.programs.natsServer, args: ["-c", join(options.dataDir, name, configName)], readyPort: server.clientPort, configText, configName }, options);
}

function engineProcess(
  name: string,
  engine: { readonly region: string | undefined; readonly command: string; readonly args: readonly string[]; readonly readyPort: number; readonly configText: string; readonly configName: string },
  options: EnginePlanOptions,
): PlannedProcess {
  return {
    stage: "engines",
    configFile: join(options.dataDir, name, engine.configName),
    configText: engine.configText,
    config: {},
    tokens: [],
    spec: {
      name,
      kind: "engine",
      ...(engine.region === undefined ? {} : { region: engine.region }),
      command: engine.command,
      args: engine.args,
      cwd: options.home,
      logFile: join(options.dataDir, "logs", `${name}.log`),
      readyPort: engine.readyPort,
    },
  };
}

function tlsFiles(dataDir: string, name: string): EngineTlsFiles {
  const engines = join(dataDir, "global", "engines");
  return { certificate: join(engines, `${name}.pem`), privateKey: join(engines, `${name}.key`), ca: join(engines, "ca.pem") };
}

function regionOf(place: string): string | undefined {
  return place === globalPlace ? undefined : place;
}

function etcdName(place: string): string {
  return `${place}-etcd`;
}

function natsName(place: string): string {
  return `${place}-nats`;
}
