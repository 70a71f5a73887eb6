import { join } from "node:path";
import { oneWayMs, type ClusterPlan, type FederationPlan, type WorkloadPlan } from "./demo-federation.ts";
import { PortBlock } from "./port-block.ts";
import type { ProcessKind, ProcessSpec } from "./process-spec.ts";

/** When a process is started: each stage needs what the one before gave. */
export type Stage = "engines" | "global" | "signers" | "planes" | "apps" | "proxies" | "network" | "users";

/** What a process must be given before its first start: a join token, written to `file`. */
export type TokenNeed =
  | { readonly kind: "cluster"; readonly cluster: string; readonly file: string }
  | { readonly kind: "enrolment"; readonly cluster: string; readonly signer: string; readonly file: string }
  | { readonly kind: "workload"; readonly cluster: string; readonly namespace: string; readonly serviceAccount: string; readonly file: string }
  | { readonly kind: "gateway"; readonly cluster: string; readonly file: string };

/** One process with the content of its configuration file. */
export interface PlannedProcess {
  readonly spec: ProcessSpec;
  readonly stage: Stage;
  readonly configFile: string;
  readonly config: Readonly<Record<string, unknown>>;
  /** The configuration of a program that is not ours, in its own language, instead of `config`. */
  readonly configText?: string;
  readonly tokens: readonly TokenNeed[];
}

/** Where a plane's store and bus are; what differs between the embedded federation and one on real engines. */
export interface EngineChoice {
  /** `owner` is "global" or a cluster's name. */
  store(owner: string): Readonly<Record<string, unknown>>;
  bus(owner: string): Readonly<Record<string, unknown>>;
  /** Whether the embedded hub is needed. */
  readonly needsHub: boolean;
  /** Processes of the engines themselves. */
  readonly processes: readonly PlannedProcess[];
}

export interface TopologyOptions {
  readonly dataDir: string;
  /** The directory of the installation: where services/ and proxy/ are. */
  readonly home: string;
  /** The Node binary that runs every process. */
  readonly node: string;
  readonly ports: PortBlock;
  readonly engines: EngineChoice;
}

/** A whole federation, laid out on this machine. */
export interface Topology {
  readonly plan: FederationPlan;
  readonly processes: readonly PlannedProcess[];
  /** The gateway addresses of a cluster, by the region of the caller. */
  readonly gateways: ReadonlyMap<string, readonly GatewayAddressPlan[]>;
}

export interface GatewayAddressPlan {
  readonly address: string;
  readonly port: number;
  /** For callers of these regions; absent for everybody else. */
  readonly regions?: readonly string[];
}

/** More ports than the demo needs, so that a block stays one block when a later version needs a few more. */
export const portBlockSize = 200;

const address = "127.0.0.1";
const readinessIntervalMs = 500;
/** Shorter than the supervisor waits before it kills. */
const drainMs = 3_000;
/** Requests that failed; beside the identity and the last known good of a sidecar. */
const accessLogName = "access.log";
/** Shorter than what a user waits, so that the storefront still answers. */
const callDeadlineMs = 4_000;
const userDeadlineMs = 8_000;
/** So many answers at home has each region's first callers had before the others come: by then every program on the way has compiled what it runs most. */
const userFirstAnswers = 200;
/** From the rate of callers who wait to the rate of those who do not. */
const userRampMs = 2_000;

/** A proxy's garbage is short-lived: a young generation of 12 MB instead of 48 costs no measurable CPU and saves 8 MB. The others of a federation on one machine have it as well. */
export const proxyFlags = ["--max-semi-space-size=4"];

/** The path of the embedded hub's socket. */
export function busSocketPath(dataDir: string): string {
  return join(dataDir, "bus.sock");
}

/** SQLite files and one hub: nothing to install. */
export function embeddedEngines(dataDir: string): EngineChoice {
  return { needsHub: true, processes: [], store: () => ({ kind: "sqlite" }), bus: () => ({ kind: "socket", path: busSocketPath(dataDir) }) };
}

/** Lays `plan` out on one machine: every process, its configuration, its ports and what it must be given. Pure but for the ports it takes. */
export function layOut(plan: FederationPlan, options: TopologyOptions): Topology {
  const layout = new Layout(plan, options);
  layout.processes.push(...options.engines.processes);
  if (options.engines.needsHub) layout.addHub();
  layout.addGlobal();
  for (const cluster of plan.clusters) layout.addPlane(cluster);
  for (const cluster of plan.clusters) {
    for (const workload of plan.workloads) if (workload.trustDomain === cluster.trustDomain) layout.addWorkload(cluster, workload);
    layout.addGateway(cluster);
  }
  layout.addApps();
  layout.addNetwork();
  layout.addUsers();
  return { plan, processes: layout.processes, gateways: layout.gateways };
}

interface Addition {
  readonly name: string;
  readonly kind: ProcessKind;
  readonly stage: Stage;
  readonly entry: readonly string[];
  readonly region?: string;
  readonly shownRegion?: string;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokens?: readonly TokenNeed[];
}

class Layout {
  readonly #plan: FederationPlan;
  readonly #options: TopologyOptions;
  readonly processes: PlannedProcess[] = [];
  readonly gateways = new Map<string, GatewayAddressPlan[]>();
  readonly #links: object[] = [];
  /** By region. */
  readonly #apps = new Map<string, object[]>();

  constructor(plan: FederationPlan, options: TopologyOptions) {
    this.#plan = plan;
    this.#options = options;
  }

  addHub(): void {
    this.#add({ name: "bus", kind: "bus", stage: "global", entry: ["services/bus/main.ts", "run"], config: { name: "bus", listen: { path: busSocketPath(this.#options.dataDir) } } });
  }

  addGlobal(): void {
    const { engines } = this.#options;
    this.#add({
      name: "global",
      kind: "global",
      stage: "global",
      entry: ["services/global/main.ts", "run"],
      config: {
        federation: this.#plan.federation,
        listen: { address, ...this.#take("apiPort", "joinPort", "metricsPort") },
        advertiseAddress: address,
        store: engines.store("global"),
        bus: engines.bus("global"),
      },
    });
  }

  addPlane(cluster: ClusterPlan): void {
    const { engines } = this.#options;
    const name = planeName(cluster.name);
    const joinFile = this.#path(name, "join-token");
    const signerFile = this.#path(name, "signer-token");
    const signer = this.#plan.clusters.find((other) => other.trustDomain === cluster.trustDomain && other.isSigner);
    if (signer === undefined) throw new Error(`${cluster.trustDomain} has no signer`);
    this.#add({
      name,
      kind: "plane",
      stage: cluster.isSigner ? "signers" : "planes",
      region: cluster.region,
      entry: ["services/cluster/main.ts", "run"],
      config: {
        cluster: cluster.name,
        listen: { address, ...this.#take("discoveryPort", "joinPort", "adminPort", "metricsPort") },
        advertiseAddress: address,
        store: engines.store(cluster.name),
        bus: engines.bus(cluster.name),
        globalJoinTokenFile: joinFile,
        signer: cluster.isSigner ? { kind: "own", trustDomain: cluster.trustDomain } : { kind: "remote", tokenFile: signerFile },
      },
      tokens: [
        { kind: "cluster", cluster: cluster.name, file: joinFile },
        ...(cluster.isSigner ? [] : [{ kind: "enrolment", cluster: cluster.name, signer: signer.name, file: signerFile } as const]),
      ],
    });
  }

  addWorkload(cluster: ClusterPlan, workload: WorkloadPlan): void {
    const app = `${cluster.name}-${workload.service}`;
    const proxy = `${app}-proxy`;
    const appPort = this.#options.ports.take();
    const proxyPorts = this.#take("outbound", "inbound", "admin", "metrics");
    const ofRegion = this.#apps.get(cluster.region) ?? [];
    ofRegion.push({
      name: app,
      kind: workload.kind,
      listen: { address, port: appPort },
      workMs: workload.workMs,
      ...(workload.kind === "storefront" ? { outbound: { address, port: proxyPorts["outbound"] } } : {}),
    });
    this.#apps.set(cluster.region, ofRegion);
    this.#addSidecar(proxy, cluster, {
      serviceAccount: workload.service,
      namespace: workload.namespace,
      ports: proxyPorts,
      diesWithRegion: true,
      services: [{ namespace: workload.namespace, service: workload.service, port: workload.port, appPort }],
      readiness: { path: "/healthz", intervalMs: readinessIntervalMs },
    });
  }

  /** The applications of a region die with it and know nothing of each other, so one process does for all of them. */
  addApps(): void {
    for (const [region, apps] of this.#apps) {
      const name = appsName(region);
      this.#add({ name, kind: "app", stage: "apps", region, entry: ["services/demo/apps-main.ts"], config: { name, region, callDeadlineMs, apps } });
    }
  }

  addGateway(cluster: ClusterPlan): void {
    const name = `${cluster.name}-gateway`;
    const ports = this.#take("gateway", "admin", "metrics");
    const target = { address, port: portOf(ports, "gateway") };
    const listings: GatewayAddressPlan[] = [target];
    for (const region of this.#plan.regions) {
      if (region.name === cluster.region) continue;
      const listen = { address, port: this.#options.ports.take() };
      this.#links.push({ name: `${region.name}-to-${cluster.name}`, listen, target, oneWayMs: oneWayMs(this.#plan, region.name, cluster.region) });
      listings.push({ ...listen, regions: [region.name] });
    }
    this.gateways.set(cluster.name, listings);
    const file = this.#path(name, "join-token");
    this.#add({
      name,
      kind: "gateway",
      stage: "proxies",
      region: cluster.region,
      entry: ["proxy/main.ts"],
      config: { mode: "gateway", name, joinTokenFile: file, address, region: cluster.region, ports: { ...ports, outbound: 0, inbound: 0 }, drainMs },
      tokens: [{ kind: "gateway", cluster: cluster.name, file }],
    });
  }

  addNetwork(): void {
    // One region alone has no distances.
    if (this.#links.length === 0) return;
    this.#add({ name: "network", kind: "relay", stage: "network", entry: ["services/demo/relay-main.ts"], config: { name: "network", links: this.#links } });
  }

  addUsers(): void {
    const groups: object[] = [];
    for (const users of this.#plan.users) {
      const cluster = this.#plan.clusters.find((candidate) => candidate.name === users.cluster);
      if (cluster === undefined) throw new Error(`no cluster ${users.cluster}`);
      const ports = this.#take("outbound", "inbound", "admin", "metrics");
      this.#addSidecar(`${users.region}-edge`, cluster, { namespace: "web", serviceAccount: "edge", ports, diesWithRegion: false, services: [], edge: true });
      groups.push({ region: users.region, edge: { address, port: portOf(ports, "outbound") }, ratePerSecond: users.ratePerSecond });
    }
    if (groups.length === 0) return;
    this.#add({
      name: usersName,
      kind: "users",
      stage: "users",
      entry: ["services/demo/users-main.ts"],
      config: { name: usersName, groups, host: "storefront.web", deadlineMs: userDeadlineMs, firstAnswers: userFirstAnswers, rampMs: userRampMs },
    });
  }

  #addSidecar(
    name: string,
    cluster: ClusterPlan,
    workload: {
      readonly namespace: string;
      readonly serviceAccount: string;
      readonly ports: Readonly<Record<string, number>>;
      readonly diesWithRegion: boolean;
      readonly services: readonly object[];
      readonly readiness?: object;
      readonly edge?: boolean;
    },
  ): void {
    const file = this.#path(name, "join-token");
    this.#add({
      name,
      kind: "sidecar",
      stage: "proxies",
      ...(workload.diesWithRegion ? { region: cluster.region } : { shownRegion: cluster.region }),
      entry: ["proxy/main.ts"],
      config: {
        mode: "sidecar",
        name,
        joinTokenFile: file,
        address,
        region: cluster.region,
        // What the mode does not listen on is 0, so that no default port is ever taken.
        ports: { ...workload.ports, gateway: 0 },
        drainMs,
        accessLog: { filter: "failures", path: this.#path(name, accessLogName) },
        ...(workload.edge === undefined ? {} : { edge: workload.edge }),
        // A sidecar that only calls has nothing to register.
        ...(workload.services.length === 0
          ? {}
          : { workload: { instanceId: name, services: workload.services, ...(workload.readiness === undefined ? {} : { readiness: workload.readiness }) } }),
      },
      tokens: [{ kind: "workload", cluster: cluster.name, namespace: workload.namespace, serviceAccount: workload.serviceAccount, file }],
    });
  }

  #add(addition: Addition): void {
    const { dataDir, home, node } = this.#options;
    const { name, kind, stage, region, shownRegion, entry, config, tokens } = addition;
    const configFile = this.#path(name, "config.json");
    const [program = "", ...rest] = entry;
    this.processes.push({
      stage,
      configFile,
      config: { ...config, dataDir: join(dataDir, name) },
      tokens: tokens ?? [],
      spec: {
        name,
        kind,
        ...(region === undefined ? {} : { region }),
        ...(shownRegion === undefined ? {} : { shownRegion }),
        command: node,
        args: [...proxyFlags, join(home, program), ...rest, "--config", configFile],
        cwd: home,
        logFile: join(dataDir, "logs", `${name}.log`),
        readyFile: join(dataDir, name, "ready.json"),
      },
    });
  }

  #path(name: string, file: string): string {
    return join(this.#options.dataDir, name, file);
  }

  #take(...names: readonly string[]): Readonly<Record<string, number>> {
    return Object.fromEntries(names.map((name) => [name, this.#options.ports.take()]));
  }
}

/** The process name of a cluster's plane. */
export function planeName(cluster: string): string {
  return `${cluster}-plane`;
}

/** The process name of the users of all regions. */
export const usersName = "users";

/** The process name of a region's applications. */
export function appsName(region: string): string {
  return `${region}-apps`;
}

/** How many processes `plan` comes to, its supervisor among them. */
export function processCountOf(plan: FederationPlan): number {
  return layOut(plan, { dataDir: "/", home: "/", node: "node", ports: new PortBlock(1, portBlockSize), engines: embeddedEngines("/") }).processes.length + 1;
}

function portOf(ports: Readonly<Record<string, number>>, name: string): number {
  const port = ports[name];
  if (port === undefined) throw new Error(`no port ${name}`);
  return port;
}
