import { resolve } from "node:path";
import { AtollError } from "#federation/runtime/errors.ts";
import type { FederationDescription, ServiceDescription, TcpUpstream } from "#federation/model/federation-description.ts";
import type { FederationPlan, TcpUpstreamPlan, WorkloadPlan } from "./federation-plan.ts";
import { upstreamNameOf } from "./upstream-name.ts";

/**
 * What a description comes to when all of it is on this machine. Pure.
 * @throws {ATOLL_USAGE} when two applications that run by themselves would listen on one port here, each on a host of its own.
 */
export function localPlanOf(description: FederationDescription, baseDir: string): FederationPlan {
  refuseSharedPorts(description);
  return planOf(description, baseDir);
}

/** A description as a plan; commands run in directories relative to `baseDir`. Pure. */
export function planOf(description: FederationDescription, baseDir: string): FederationPlan {
  return {
    federation: description.trustDomain,
    regions: description.regions,
    clusters: description.clusters.map((cluster) => {
      const { signer, bundleEndpoint } = description.trustDomains.find(({ name }) => name === cluster.trustDomain) ?? {};
      return { ...cluster, isSigner: signer === cluster.name, ...(bundleEndpoint === undefined ? {} : { bundleEndpoint }) };
    }),
    distances: description.distances,
    workloads: description.services.map((service) => workloadOf(description, service, baseDir)),
    users: description.users.map(({ region, cluster, service, path, ratePerSecond }) => ({ region, cluster, ratePerSecond, target: { namespace: service.namespace, host: `${service.name}.${service.namespace}`, path } })),
    relationships: description.relationships,
    policies: description.policies,
    ...(description.clients.length === 0 ? {} : { clients: description.clients }),
    ...(description.backups === undefined ? {} : { backups: description.backups }),
  };
}

function refuseSharedPorts({ services }: FederationDescription): void {
  const owners = new Map<number, ServiceDescription>();
  for (const service of services) {
    if (service.command !== undefined) continue;
    for (const { appPort } of service.instances) {
      const other = appPort === undefined ? undefined : owners.get(appPort);
      if (other !== undefined && other !== service) {
        throw new AtollError("ATOLL_USAGE", `${nameOf(other)} and ${nameOf(service)} both listen on ${appPort}, on hosts of their own, and on this machine only one of them can: give them different appPorts, or commands`);
      }
      if (appPort !== undefined) owners.set(appPort, service);
    }
  }
}

function nameOf({ namespace, name }: ServiceDescription): string {
  return `${namespace}/${name}`;
}

function workloadOf(description: FederationDescription, service: ServiceDescription, baseDir: string): WorkloadPlan {
  const { namespace, name, trustDomain, protocol, port, command, readinessPath, isExported, consumers, upstreams, tcpUpstreams, hasWorkloadApi } = service;
  // Several applications that are started here cannot share a port: each gets one of its own and is told it.
  const users = (appPort: number): number => description.services.flatMap(({ instances }) => instances.filter((instance) => instance.appPort === appPort)).length;
  const isOwn = (appPort: number | undefined): appPort is number => appPort !== undefined && (command === undefined || users(appPort) === 1);
  return {
    namespace,
    service: name,
    trustDomain,
    ...(protocol === "http" ? {} : { protocol }),
    port,
    instances: service.instances.map(({ name: instance, cluster, appPort }) => ({ name: instance, cluster, ...(isOwn(appPort) ? { appPort } : {}) })),
    app: command === undefined ? { kind: "own" } : { kind: "command", words: command.words, directory: resolve(baseDir, command.directory), env: command.env },
    ...(readinessPath === undefined ? {} : { readinessPath }),
    isExported,
    consumers,
    ...(upstreams === undefined ? {} : { upstreams: upstreams.map((upstream) => upstreamNameOf(upstream, trustDomain)) }),
    ...(tcpUpstreams.length === 0 ? {} : { tcpUpstreams: tcpUpstreams.map((upstream) => tcpUpstreamOf(upstream, service)) }),
    ...(hasWorkloadApi ? { hasWorkloadApi } : {}),
  };
}

/** Several instances cannot share a port here: each gets one of its own and is told it. */
function tcpUpstreamOf({ service, servicePort, localPort }: TcpUpstream, caller: ServiceDescription): TcpUpstreamPlan {
  const isOwn = localPort !== undefined && caller.instances.length === 1;
  return { namespace: service.namespace, service: service.name, trustDomain: service.trustDomain, port: servicePort, ...(isOwn ? { localPort } : {}) };
}
