import { addInstance, type PlacedInstance } from "./app-processes.ts";
import { addDemoApps, addNetwork, addUsers } from "./demo-processes.ts";
import { instancesOf, type FederationPlan } from "./federation-plan.ts";
import { enginePortsOf } from "./engine-plan.ts";
import { Layout, localAddress, type TopologyOptions } from "./layout.ts";
import { addGlobal, addHub, addPlane } from "./plane-processes.ts";
import { busSocketPath, planeName, type EngineChoice, type PlannedProcess } from "./planned-process.ts";
import { PortBlock } from "./port-block.ts";
import { addGateway } from "./proxy-processes.ts";
import type { PlaceAddresses } from "./resource-files.ts";

/** A whole federation, laid out on this machine. */
export interface Topology {
  readonly plan: FederationPlan;
  readonly processes: readonly PlannedProcess[];
  /** Every instance of every service, with its ports. */
  readonly instances: readonly PlacedInstance[];
  /** Where planes and gateways are reached. */
  readonly addresses: PlaceAddresses;
  /** Every port by its name, to be remembered. */
  readonly ports: Readonly<Record<string, number>>;
}

/** More ports than the demo needs, so that a block stays one block when a later version or an edit needs a few more. */
export const portBlockSize = 200;
/** A larger federation has room for half as much again. */
const portReserve = 1.5;

/** SQLite files and one hub: nothing to install. */
export function embeddedEngines(dataDir: string): EngineChoice {
  return { needsHub: true, processes: [], store: () => ({ kind: "sqlite" }), bus: () => ({ kind: "socket", path: busSocketPath(dataDir) }) };
}

/** Lays `plan` out on one machine: every process, its configuration, its ports and what it must be given. Pure but for the ports it takes. */
export function layOut(plan: FederationPlan, options: TopologyOptions): Topology {
  const layout = new Layout(plan, options);
  layout.processes.push(...options.engines.processes);
  if (options.engines.needsHub) addHub(layout);
  addGlobal(layout);
  for (const cluster of plan.clusters) addPlane(layout, cluster);
  const instances: PlacedInstance[] = [];
  for (const cluster of plan.clusters) {
    for (const workload of plan.workloads) {
      for (const instance of instancesOf(plan, workload)) if (instance.cluster === cluster.name) instances.push(addInstance(layout, cluster, workload, instance));
    }
    addGateway(layout, cluster);
  }
  addDemoApps(layout, instances);
  addNetwork(layout);
  addUsers(layout, plan);
  const { processes, gateways } = layout;
  const planes = new Map(plan.clusters.map(({ name }) => [name, processes.find(({ spec }) => spec.name === planeName(name))?.config["listen"] as { readonly discoveryPort: number; readonly joinPort: number }]));
  return {
    plan,
    processes,
    instances,
    addresses: {
      planeAddress: (cluster) => ({ host: localAddress, discoveryPort: planes.get(cluster)?.discoveryPort ?? 0, joinPort: planes.get(cluster)?.joinPort ?? 0 }),
      gateways: (cluster) => gateways.get(cluster) ?? [],
    },
    ports: options.ports.taken,
  };
}

/** How many processes `plan` comes to, its supervisor among them. */
export function processCountOf(plan: FederationPlan): number {
  return sketch(plan).processes.length + 1;
}

/** How many ports in a row `plan` is given, engines of its own included. */
export function portCountOf(plan: FederationPlan, engineMembers = 1): number {
  const needed = Math.ceil((Object.keys(sketch(plan).ports).length + enginePortsOf(plan, engineMembers)) * portReserve);
  return Math.max(portBlockSize, needed);
}

/** The layout of a plan that nobody starts. */
function sketch(plan: FederationPlan): Topology {
  return layOut(plan, { dataDir: "/", home: "/", node: "node", ports: new PortBlock(1, 60_000), engines: embeddedEngines("/") });
}
