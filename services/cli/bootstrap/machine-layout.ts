import { AtollError } from "#federation/runtime/errors.ts";
import { defaultAppPort, type EnginePlace, type FederationDescription, type HostDescription, type Placement } from "#federation/model/federation-description.ts";
import { engineAddressesMax } from "#federation/runtime/engine-config.ts";
import { accessOf } from "../up/client-access.ts";
import type { PlaceAddresses } from "../up/resource-files.ts";
import { backupsOf } from "../up/plane-processes.ts";
import { planeName } from "../up/planned-process.ts";
import { upstreamNameOf } from "../up/upstream-name.ts";

/** The programs that a machine runs; etcd and nats-server besides. */
export type MachineProgram = "global" | "cluster" | "proxy";

/** A token that a process needs once, as `atoll token create` makes it. */
export interface MachineToken {
  /** Below the machine's directory of tokens. */
  readonly file: string;
  readonly purpose: string;
  /** Whose plane makes it; absent: the global plane. */
  readonly cluster?: string;
}

/** One process of ours on a machine. */
export interface MachineProcess {
  /** Also the name of its configuration and of its data directory. */
  readonly name: string;
  readonly program: MachineProgram;
  /** In which it is started: global, signers, planes, proxies. */
  readonly stage: MachineStage;
  readonly config: Readonly<Record<string, unknown>>;
  readonly tokens: readonly MachineToken[];
}

export type MachineStage = "global" | "signers" | "planes" | "proxies";

/** Directories on a machine. */
export interface MachinePaths {
  readonly home: string;
  readonly config: string;
  readonly state: string;
  readonly cache: string;
}

/** One machine and everything that stands on it. */
export interface Machine {
  readonly host: HostDescription;
  readonly paths: MachinePaths;
  readonly processes: readonly MachineProcess[];
  /** Its member of the region's engines, where it has one. */
  readonly engines?: EnginePlace;
}

/** A federation on its machines. */
export interface MachineLayout {
  readonly description: FederationDescription;
  readonly placement: Placement;
  readonly machines: readonly Machine[];
  readonly addresses: PlaceAddresses;
}

/** Ports of the first process of a kind on a host (docs/ports.md); each further one has them `nextPorts` higher. */
const ports = {
  global: { apiPort: 7400, joinPort: 7401, metricsPort: 7402 },
  cluster: { discoveryPort: 7410, joinPort: 7411, bundlePort: 7412, adminPort: 7420, metricsPort: 7421 },
  // A gateway stands beside sidecars often enough that the two have ports of their own for operators.
  gateway: { gateway: 15443, admin: 15010, metrics: 15091 },
  sidecar: { outbound: 15001, inbound: 15006, admin: 15000, metrics: 15090 },
} as const;
const nextPorts = 100;
const portMax = 65_535;
const readinessIntervalMs = 1_000;

/**
 * Says what stands on which machine, with every configuration. `home` is where Atoll is installed there. Pure.
 * @throws {ATOLL_USAGE} when the file names no hosts, has embedded engines, or puts more on a host than it has ports for.
 */
export function layOutMachines(description: FederationDescription, home: string): MachineLayout {
  const { placement } = description;
  if (placement === undefined) throw new AtollError("ATOLL_USAGE", "the file names no machines: spec.hosts says where things stand, each with a name and an address");
  if (description.engines === "embedded") throw new AtollError("ATOLL_USAGE", "spec.engines.kind is embedded, which one machine has; many machines have etcd-nats");
  const builder = new MachineBuilder(description, placement, home);
  builder.addGlobal();
  for (const cluster of description.clusters) builder.addCluster(cluster);
  for (const service of description.services) for (const instance of service.instances) builder.addSidecar(service, instance);
  return {
    description,
    placement,
    machines: placement.hosts.map((host) => builder.machine(host)),
    addresses: {
      planeAddress: (cluster) => builder.planeAddress(cluster),
      gateways: (cluster) => builder.gateways(cluster),
    },
  };
}

class MachineBuilder {
  readonly #description: FederationDescription;
  readonly #placement: Placement;
  readonly #home: string;
  readonly #processes = new Map<string, MachineProcess[]>();
  readonly #counts = new Map<string, number>();
  readonly #planes = new Map<string, ReturnType<PlaceAddresses["planeAddress"]>>();
  readonly #gateways = new Map<string, ReturnType<PlaceAddresses["gateways"]>>();

  constructor(description: FederationDescription, placement: Placement, home: string) {
    this.#description = description;
    this.#placement = placement;
    this.#home = home;
  }

  machine(host: HostDescription): Machine {
    const engines = this.#placement.engines.find((place) => place.host === host.name);
    return { host, paths: this.#paths(host), processes: this.#processes.get(host.name) ?? [], ...(engines === undefined ? {} : { engines }) };
  }

  planeAddress(cluster: string): ReturnType<PlaceAddresses["planeAddress"]> {
    return known(this.#planes.get(cluster), cluster);
  }

  gateways(cluster: string): ReturnType<PlaceAddresses["gateways"]> {
    return this.#gateways.get(cluster) ?? [];
  }

  addGlobal(): void {
    const host = this.#host(this.#placement.globalHost);
    this.#add(host, {
      name: "global",
      program: "global",
      stage: "global",
      config: {
        federation: this.#description.trustDomain,
        dataDir: `${this.#paths(host).state}/global`,
        listen: { address: host.listen, ...this.#ports(host, "global") },
        advertiseAddress: host.address,
        ...this.#engines(host),
        ...accessOf(this.#description.trustDomain, this.#description.clients),
        ...backupsOf(this.#description),
      },
      tokens: [],
    });
  }

  addCluster({ name: cluster, trustDomain }: FederationDescription["clusters"][number]): void {
    const host = this.#host(known(this.#placement.clusterHosts.get(cluster), cluster));
    const { state, config } = this.#paths(host);
    const { signer, bundleEndpoint } = known(this.#description.trustDomains.find(({ name }) => name === trustDomain), trustDomain);
    const isSigner = signer === cluster;
    const name = planeName(cluster);
    const { bundlePort, ...ownPorts } = this.#ports(host, "cluster");
    const listen = { address: host.listen, ...ownPorts };
    this.#planes.set(cluster, { host: host.address, discoveryPort: listen.discoveryPort, joinPort: listen.joinPort });
    this.#add(host, {
      name,
      program: "cluster",
      stage: isSigner ? "signers" : "planes",
      config: {
        cluster,
        dataDir: `${state}/${name}`,
        listen,
        advertiseAddress: host.address,
        ...this.#engines(host),
        ...accessOf(this.#description.trustDomain, this.#description.clients),
        ...backupsOf(this.#description),
        ...(bundleEndpoint === undefined ? {} : { bundleEndpoint: { ...bundleEndpoint, port: bundlePort } }),
        globalJoinTokenFile: `${config}/tokens/${name}.join`,
        signer: isSigner ? { kind: "own", trustDomain } : { kind: "remote", tokenFile: `${config}/tokens/${name}.signer` },
      },
      tokens: [{ file: `${name}.join`, purpose: `cluster:${cluster}` }, ...(isSigner ? [] : [{ file: `${name}.signer`, purpose: `enrolment:${cluster}`, cluster: signer }])],
    });
    this.#addGateways(cluster);
  }

  #addGateways(cluster: FederationDescription["clusters"][number]["name"]): void {
    const { hosts, address } = known(this.#placement.clusterGateways.get(cluster), cluster);
    const listings = hosts.map((hostName, index) => {
      const host = this.#host(hostName);
      const gatewayPorts = this.#ports(host, "gateway");
      this.#addProxy(host, { name: index === 0 ? `${cluster}-gateway` : `${cluster}-gateway-${index + 1}`, purpose: "gateway", cluster, config: { mode: "gateway", ports: gatewayPorts } });
      return { address: host.address, port: gatewayPorts.gateway };
    });
    // A load balancer is dialled by one port, whatever those behind it have.
    this.#gateways.set(cluster, address === undefined ? listings : [{ address, port: known(listings[0], cluster).port }]);
  }

  addSidecar(service: FederationDescription["services"][number], instance: FederationDescription["services"][number]["instances"][number]): void {
    const host = this.#host(known(instance.host, instance.name));
    const { namespace, name, port, trustDomain, readinessPath, upstreams, tcpUpstreams, hasWorkloadApi } = service;
    const sidecar = `${instance.name}-proxy`;
    this.#addProxy(host, {
      name: sidecar,
      purpose: `workload:${namespace}/${name}`,
      cluster: instance.cluster,
      config: {
        mode: "sidecar",
        ports: this.#ports(host, "sidecar"),
        workload: {
          instanceId: sidecar,
          services: [{ namespace, service: name, port, appPort: instance.appPort ?? defaultAppPort }],
          readiness: { ...(readinessPath === undefined ? {} : { path: readinessPath }), intervalMs: readinessIntervalMs },
        },
        ...(hasWorkloadApi ? { workloadApi: { path: `${this.#paths(host).state}/${sidecar}/workload.sock` } } : {}),
        ...(upstreams === undefined ? {} : { upstreams: upstreams.map((one) => upstreamNameOf(one, trustDomain)) }),
        ...(tcpUpstreams.length === 0
          ? {}
          : { tcpListeners: tcpUpstreams.map(({ service: one, servicePort, localPort }) => ({ port: localPort ?? servicePort, service: upstreamNameOf(one, trustDomain), servicePort })) }),
      },
    });
  }

  #addProxy(host: HostDescription, proxy: { readonly name: string; readonly purpose: string; readonly cluster: string; readonly config: Readonly<Record<string, unknown>> }): void {
    const { state, config } = this.#paths(host);
    const { mode, ...rest } = proxy.config;
    this.#add(host, {
      name: proxy.name,
      program: "proxy",
      stage: "proxies",
      config: { mode, name: proxy.name, dataDir: `${state}/${proxy.name}`, joinTokenFile: `${config}/tokens/${proxy.name}`, address: host.listen, region: host.region, ...rest },
      tokens: [{ file: proxy.name, purpose: proxy.purpose, cluster: proxy.cluster }],
    });
  }

  /**
   * The engines of its region, or of the first one where its region has none, its own host's before the others; and as second choice the bus
   * of every other region.
   */
  #engines(host: HostDescription): { readonly store: object; readonly bus: object } {
    const distance = ({ region, host: other }: EnginePlace): number => (other === host.name ? 0 : region === host.region ? 1 : 2);
    const places = [...this.#placement.engines].sort((a, b) => distance(a) - distance(b));
    const { region } = known(places[0], host.region);
    const members = places.filter((place) => place.region === region);
    const others = places.filter((place) => place.region !== region);
    return {
      store: { kind: "etcd", endpoints: members.map((place) => `https://${hostPort(this.#host(place.host).address, place.etcdPort)}`) },
      bus: { kind: "nats", servers: [...members, ...others].slice(0, engineAddressesMax).map((place) => `tls://${hostPort(this.#host(place.host).address, place.natsPort)}`) },
    };
  }

  #ports<Kind extends keyof typeof ports>(host: HostDescription, kind: Kind): { readonly [Name in keyof (typeof ports)[Kind]]: number } {
    const count = this.#counts.get(`${host.name} ${kind}`) ?? 0;
    this.#counts.set(`${host.name} ${kind}`, count + 1);
    const found = Object.entries(ports[kind]).map(([name, port]: [string, number]) => [name, port + host.portOffset + count * nextPorts] as const);
    if (found.some(([, port]) => port > portMax)) throw new AtollError("ATOLL_USAGE", `host ${host.name} carries ${count + 1} processes of the kind ${kind}, for which it has no ports`);
    return Object.fromEntries(found) as { [Name in keyof (typeof ports)[Kind]]: number };
  }

  #paths(host: HostDescription): MachinePaths {
    return { home: this.#home, config: `${host.root}/etc/atoll`, state: `${host.root}/var/lib/atoll`, cache: `${host.root}/var/cache/atoll` };
  }

  #host(name: string): HostDescription {
    return known(this.#placement.hosts.find((host) => host.name === name), name);
  }

  #add(host: HostDescription, process: MachineProcess): void {
    this.#processes.set(host.name, [...(this.#processes.get(host.name) ?? []), process]);
  }
}

/** `host:port`, with brackets where the address needs them. */
export function hostPort(address: string, port: number): string {
  return `${address.includes(":") ? `[${address}]` : address}:${port}`;
}

/** A checked description names only what it has. */
function known<T>(value: T | undefined, name: string): T {
  if (value === undefined) throw new Error(`nothing is known of ${name}: the description was not checked`);
  return value;
}
