import { oneWayMs, type ClusterPlan } from "./federation-plan.ts";
import { localAddress, type Layout } from "./layout.ts";
import type { GatewayAddressPlan } from "./planned-process.ts";

/** Shorter than the supervisor waits before it kills. */
const drainMs = 3_000;
/** Requests that failed; beside the identity and the last known good of a sidecar. */
const accessLogName = "access.log";

/** A port of a sidecar that leads to one port of a service; as a proxy's configuration has it. */
export interface TcpListenerPlan {
  readonly port: number;
  readonly service: string;
  readonly servicePort: number;
}

/** What a sidecar stands beside. */
export interface SidecarPlan {
  readonly name: string;
  readonly namespace: string;
  readonly serviceAccount: string;
  /** Edges outlive the region that they stand in. */
  readonly diesWithRegion: boolean;
  readonly services: readonly object[];
  readonly readiness?: object;
  readonly upstreams?: readonly string[];
  readonly tcpListeners?: readonly TcpListenerPlan[];
  readonly isEdge?: boolean;
  /** Where it serves the Workload API; absent: nowhere. */
  readonly workloadSocket?: string;
}

/** A cluster's gateway, and the ways to it from every other region. */
export function addGateway(layout: Layout, cluster: ClusterPlan): void {
  const name = `${cluster.name}-gateway`;
  const ports = layout.take(name, "gateway", "admin", "metrics");
  const target = { address: localAddress, port: ports.gateway };
  const listings: GatewayAddressPlan[] = [target];
  for (const region of layout.plan.regions) {
    const delayMs = oneWayMs(layout.plan, region.name, cluster.region);
    if (region.name === cluster.region || delayMs === undefined) continue;
    const link = `${region.name}-to-${cluster.name}`;
    const listen = { address: localAddress, port: layout.take("network", link)[link] ?? 0 };
    layout.links.push({ name: link, listen, target, oneWayMs: delayMs });
    listings.push({ ...listen, regions: [region.name] });
  }
  layout.gateways.set(cluster.name, listings);
  const file = layout.path(name, "join-token");
  layout.add({
    name,
    kind: "gateway",
    stage: "proxies",
    region: cluster.region,
    entry: ["proxy/main.ts"],
    config: { mode: "gateway", name, joinTokenFile: file, address: localAddress, region: cluster.region, ports: { ...ports, outbound: 0, inbound: 0 }, drainMs },
    tokens: [{ kind: "gateway", cluster: cluster.name, file }],
  });
}

/** A sidecar of `cluster`; answers the port by which its application calls others. */
export function addSidecar(layout: Layout, cluster: ClusterPlan, sidecar: SidecarPlan): number {
  const { name, namespace, serviceAccount, services, readiness, upstreams, tcpListeners = [] } = sidecar;
  const file = layout.path(name, "join-token");
  const ports = layout.take(name, "outbound", "inbound", "admin", "metrics");
  layout.add({
    name,
    kind: "sidecar",
    stage: "proxies",
    ...(sidecar.diesWithRegion ? { region: cluster.region } : { shownRegion: cluster.region }),
    entry: ["proxy/main.ts"],
    config: {
      mode: "sidecar",
      name,
      joinTokenFile: file,
      address: localAddress,
      region: cluster.region,
      // What the mode does not listen on is 0, so that no default port is ever taken.
      ports: { ...ports, gateway: 0 },
      drainMs,
      accessLog: { filter: "failures", path: layout.path(name, accessLogName) },
      ...(sidecar.workloadSocket === undefined ? {} : { workloadApi: { path: sidecar.workloadSocket } }),
      ...(sidecar.isEdge === undefined ? {} : { edge: sidecar.isEdge }),
      ...(upstreams === undefined ? {} : { upstreams }),
      ...(tcpListeners.length === 0 ? {} : { tcpListeners }),
      // A sidecar that only calls has nothing to register.
      ...(services.length === 0 ? {} : { workload: { instanceId: name, services, ...(readiness === undefined ? {} : { readiness }) } }),
    },
    tokens: [{ kind: "workload", cluster: cluster.name, namespace, serviceAccount, file }],
  });
  return ports.outbound;
}
