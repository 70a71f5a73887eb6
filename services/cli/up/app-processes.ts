import type { AppPlan, ClusterPlan, InstancePlan, WorkloadPlan } from "./federation-plan.ts";
import { localAddress, type Layout } from "./layout.ts";
import { addSidecar } from "./proxy-processes.ts";

const readinessIntervalMs = 500;

/** Where one instance of a service listens, and by which port it calls others. */
export interface PlacedInstance {
  readonly workload: WorkloadPlan;
  readonly instance: InstancePlan;
  readonly cluster: ClusterPlan;
  readonly appPort: number;
  readonly outboundPort: number;
}

/** The sidecar of an instance, and the application where it is a command. */
export function addInstance(layout: Layout, cluster: ClusterPlan, workload: WorkloadPlan, instance: InstancePlan): PlacedInstance {
  const { namespace, service, port, app, readinessPath, upstreams } = workload;
  const appPort = instance.appPort ?? layout.take(instance.name, "app").app;
  const outboundPort = addSidecar(layout, cluster, {
    name: `${instance.name}-proxy`,
    namespace,
    serviceAccount: service,
    diesWithRegion: true,
    services: [{ namespace, service, port, appPort }],
    readiness: { ...(readinessPath === undefined ? {} : { path: readinessPath }), intervalMs: readinessIntervalMs },
    ...(upstreams === undefined ? {} : { upstreams }),
  });
  const placed = { workload, instance, cluster, appPort, outboundPort };
  if (app.kind === "command") addCommand(layout, app, placed);
  return placed;
}

/** The process name of the application of an instance that `up` starts. */
export function commandName(instance: string): string {
  return `${instance}-app`;
}

/** What a user's program is told: where to listen, where to call, and where it is. */
function addCommand(layout: Layout, app: AppPlan & { readonly kind: "command" }, { instance, cluster, appPort, outboundPort }: PlacedInstance): void {
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
