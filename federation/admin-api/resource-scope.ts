import type { TrustDomainName } from "#federation/model/names.ts";
import type { Resource } from "#federation/model/resource.ts";
import { administratorsAlone, type Scope } from "./access.ts";

/**
 * What writing `resource` touches. `own` is the trust domain of the plane that keeps it; the global plane has none. Pure.
 * - A policy speaks for the services of its target: without a trust domain for those of every one.
 * - A federated trust domain is told to every workload of the cluster.
 * - A relationship is either party's to propose or withdraw: it has effect by both sides' signatures alone.
 */
export function scopeOfResource(resource: Resource, own: TrustDomainName | undefined): Scope | typeof administratorsAlone {
  switch (resource.kind) {
    case "Relationship":
      return { oneOfTrustDomains: [resource.spec.caller.trustDomain, resource.spec.callee.trustDomain], everyNamespace: "all" };
    case "TrafficPolicy": {
      const { trustDomain, namespace } = resource.spec.targetRef;
      return { oneOfTrustDomains: trustDomain === undefined ? "all" : [trustDomain], everyNamespace: [...new Set([namespace, resource.metadata.namespace ?? namespace])] };
    }
    case "FederatedTrustDomain":
      return { oneOfTrustDomains: own === undefined ? "all" : [own], everyNamespace: "all" };
    case "Service":
    case "ServiceExport":
      return { oneOfTrustDomains: own === undefined ? "all" : [own], everyNamespace: resource.metadata.namespace === undefined ? "all" : [resource.metadata.namespace] };
    case "Region":
    case "Cluster":
    case "TrustDomain":
    case "ServiceImport":
      break;
  }
  return administratorsAlone;
}
