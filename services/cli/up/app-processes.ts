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
}

export interface TcpPort {
  readonly namespace: string;
  readonly service: string;
  readonly port: number;
}

/** The sidecar of an instance, and the application where it is a command. */
export function addInstance(layout: Layout, cluster: ClusterPlan, workload: WorkloadPlan, instance: InstancePlan): PlacedInstance {
  const { namespace, service, port, app, readinessPath, upstreams, tcpUpstreams = [] } = workload;
  const appPort = instance.appPort ?? layout.take(instance.name, "app").app;
  const name = `${instance.name}-proxy`;
  const called = tcpUpstreams.map((upstream) => ({ upstream, port: upstream.localPort ?? takeTcpPort(layout, name, upstream) }));
  const outboundPort = addSidecar(layout, cluster, {
    name,
    namespace,
    serviceAccount: service,
    diesWithRegion: true,
    services: [{ namespace, service, port, appPort }],
    readiness: { ...(readinessPath === undefined ? {} : { path: readinessPath }), intervalMs: readinessIntervalMs },
    ...(upstreams === undefined ? {} : { upstreams }),
    tcpListeners: called.map(({ upstream, port: local }) => ({ port: local, service: upstreamNameOf({ ...upstream, name: upstream.service }, workload.trustDomain), servicePort: upstream.port })),
  });
  const tcpPorts = called.map(({ upstream, port: local }) => ({ namespace: upstream.namespace, service: upstream.service, port: local }));
  const placed = { workload, instance, cluster, appPort, outboundPort, tcpPorts };
  if (app.kind === "command") addCommand(layout, app, placed);
  return placed;
}

/** The process name of the application of an instance that `up` starts. */
export function commandName(instance: string): string {
  return `${instance}-app`;
}

function takeTcpPort(layout: Layout, sidecar: string, { namespace, service }: TcpUpstreamPlan): number {
  const name = `tcp-${namespace}-${service}`;
  return layout.take(sidecar, name)[name] ?? 0;
}

/** The variable that tells an application by which address it calls a TCP service. Pure. */
export function tcpVariable({ namespace, service }: { readonly namespace: string; readonly service: string }): string {
  return `ATOLL_TCP_${namespace}__${service}`.toUpperCase().replaceAll("-", "_");
}

/** What a user's program is told: where to listen, where to call, and where it is. */
function addCommand(layout: Layout, app: AppPlan & { readonly kind: "command" }, { instance, cluster, appPort, outboundPort, tcpPorts }: PlacedInstance): void {
  const name = commandName(instance.name);
  const [command = "", ...args] = app.words.map((word) => word.replaceAll("{port}", String(appPort)));
  layout.processes.push({
    stage: "apps",
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
