import { checkSocketPath } from "#federation/runtime/socket-path.ts";
import type { AppPlan, ClusterPlan, InstancePlan, TcpUpstreamPlan, WorkloadPlan } from "./federation-plan.ts";
import { localAddress, type Layout } from "./layout.ts";
import { addSidecar } from "./proxy-processes.ts";
import { upstreamNameOf } from "./upstream-name.ts";

const readinessIntervalMs = 500;

/** Where one instance of a service listens, and by which port it calls others. */
export interface PlacedInstance {
  readonly workload: WorkloadPlan;
  readonly instance: InstancePlan;
  readonly cluster: ClusterPlan;
  readonly appPort: number;
  readonly outboundPort: number;
  /** The TCP services that it calls, each by a port of its sidecar's. */
  readonly tcpPorts: readonly TcpPort[];
  /** Where its sidecar hands it its identity; absent: nowhere. */
  readonly workloadSocket?: string;
}

export interface TcpPort {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

/** The sidecar of an instance, and the application where it is a command. @throws {ATOLL_CONFIG_INVALID} when the data directory's path is too long for a socket. */
export function addInstance(layout: Layout, cluster: ClusterPlan, workload: WorkloadPlan, instance: InstancePlan): PlacedInstance {
  const { namespace, service, port, app, readinessPath, upstreams, tcpUpstreams = [], hasWorkloadApi } = workload;
  const appPort = instance.appPort ?? layout.take(instance.name, "app").app;
  const name = `${instance.name}-proxy`;
  const called = tcpUpstreams.map((upstream) => ({ upstream, port: upstream.localPort ?? takeTcpPort(layout, name, upstream) }));
  const socket = hasWorkloadApi === undefined ? {} : { workloadSocket: workloadSocketOf(layout, name) };
  const outboundPort = addSidecar(layout, cluster, {
    name,
    namespace,
    serviceAccount: service,
    diesWithRegion: true,
    services: [{ namespace, service, port, appPort }],
    readiness: { ...(readinessPath === undefined ? {} : { path: readinessPath }), intervalMs: readinessIntervalMs },
    ...(upstreams === undefined ? {} : { upstreams }),
    ...socket,
    tcpListeners: called.map(({ upstream, port: local }) => ({ port: local, service: upstreamNameOf({ ...upstream, name: upstream.service }, workload.trustDomain), servicePort: upstream.port })),
  });
  const tcpPorts = called.map(({ upstream, port: local }) => ({ namespace: upstream.namespace, service: upstream.service, port: local }));
  const placed = { workload, instance, cluster, appPort, outboundPort, tcpPorts, ...socket };
  if (app.kind === "command") addCommand(layout, app, placed);
  return placed;
}

/** The process name of the application of an instance that `up` starts. */
export function commandName(instance: string): string {
  return `${instance}-app`;
}

/** In the sidecar's own directory, which nobody else may enter: the applications that `up` starts are the same user's. */
function workloadSocketOf(layout: Layout, sidecar: string): string {
  const path = layout.path(sidecar, "workload.sock");
  checkSocketPath(path, "choose a shorter data directory (--data)");
  return path;
}

function takeTcpPort(layout: Layout, sidecar: string, { namespace, service }: TcpUpstreamPlan): number {
  const name = `tcp-${namespace}-${service}`;
  return layout.take(sidecar, name)[name] ?? 0;
}

/** The variable that tells an application by which address it calls a TCP service. Pure. */
export function tcpVariable({ namespace, service }: { readonly namespace: string; readonly service: string }): string {
  return `ATOLL_TCP_${namespace}__${service}`.toUpperCase().replaceAll("-", "_");
}

/** The variable by which clients of the SPIFFE Workload API find it, and its value. Pure. */
export function workloadVariable(socket: string): { readonly name: string; readonly value: string } {
  return { name: "SPIFFE_ENDPOINT_SOCKET", value: `unix://${socket}` };
}

/** What a user's program is told: where to listen, where to call, and where it is. */
function addCommand(layout: Layout, app: AppPlan & { readonly kind: "command" }, { instance, cluster, appPort, outboundPort, tcpPorts, workloadSocket }: PlacedInstance): void {
  const name = commandName(instance.name);
  const identity = workloadSocket === undefined ? undefined : workloadVariable(workloadSocket);
  const [command = "", ...args] = app.words.map((word) => word.replaceAll("{port}", String(appPort)));
  layout.processes.push({
    stage: identity === undefined ? "apps" : "identifiedApps",
    config: {},
    tokens: [],
    spec: {
      name,
      kind: "app",
      region: cluster.region,
      command,
      args,
      cwd: app.directory,
      env: {
        PORT: String(appPort),
        ATOLL_OUTBOUND: `http://${localAddress}:${outboundPort}`,
        ...Object.fromEntries(tcpPorts.map((one) => [tcpVariable(one), `${localAddress}:${one.port}`])),
        ...(identity === undefined ? {} : { [identity.name]: identity.value }),
        ATOLL_REGION: cluster.region,
        ATOLL_CLUSTER: cluster.name,
        ...app.env,
      },
      logFile: layout.logFile(name),
      readyPort: appPort,
      isGroup: true,
    },
  });
}
