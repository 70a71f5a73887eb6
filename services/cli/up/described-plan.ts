import { resolve } from "node:path";
import type { FederationDescription, ServiceDescription } from "#federation/model/federation-description.ts";
import { serviceHost } from "#federation/model/service.ts";
import type { FederationPlan, WorkloadPlan } from "./federation-plan.ts";

/** What a description comes to on one machine; commands run in directories relative to `baseDir`. Pure. */
export function planOf(description: FederationDescription, baseDir: string): FederationPlan {
  return {
    federation: description.trustDomain,
    regions: description.regions,
    clusters: description.clusters.map((cluster) => ({ ...cluster, isSigner: description.trustDomains.some(({ signer }) => signer === cluster.name) })),
    distances: description.distances,
    workloads: description.services.map((service) => workloadOf(service, baseDir)),
    users: [],
    relationships: description.relationships,
    policies: description.policies,
  };
}

function workloadOf(service: ServiceDescription, baseDir: string): WorkloadPlan {
  const { namespace, name, trustDomain, port, command, readinessPath, isExported, consumers, upstreams } = service;
  // Several applications of one command cannot share a port here: each gets one of its own and is told it.
  const ownPorts = command !== undefined && service.instances.length > 1;
  return {
    namespace,
    service: name,
    trustDomain,
    port,
    instances: service.instances.map((instance) => ({ name: instance.name, cluster: instance.cluster, ...(ownPorts || instance.appPort === undefined ? {} : { appPort: instance.appPort }) })),
    app: command === undefined ? { kind: "own" } : { kind: "command", words: command.words, directory: resolve(baseDir, command.directory), env: command.env },
    ...(readinessPath === undefined ? {} : { readinessPath }),
    isExported,
    consumers,
    ...(upstreams === undefined ? {} : { upstreams: upstreams.map((upstream) => (upstream.trustDomain === trustDomain ? `${upstream.namespace}/${upstream.name}` : serviceHost(upstream))) }),
  };
}
