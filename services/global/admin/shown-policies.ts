import { shownBackend } from "#federation/admin-api/shown-backend.ts";
import type { ResourceBackend } from "#federation/admin-api/resource-routes.ts";
import { policiesByName, policyConditions, type PolicySurroundings } from "#federation/model/policy-conditions.ts";
import { objectId, type OpenedObject } from "#federation/model/replicated-object.ts";
import type { CollectionState } from "#federation/catalog/collection.ts";
import { resourceId, type Cluster, type Region, type TrafficPolicy } from "#federation/model/resource.ts";
import type { Watched } from "#federation/runtime/watched.ts";

/** What policies are judged by, as it is known at any moment. */
export interface PolicyBasis {
  /** As they were read last. */
  readonly stored: { readonly Region: Watched<CollectionState<Region>>; readonly TrafficPolicy: Watched<CollectionState<TrafficPolicy>> };
  readonly clusters: () => ReadonlyMap<string, Cluster>;
  /** What is published, by object id. */
  readonly objects: () => ReadonlyMap<string, OpenedObject>;
}

/** Policies, each with the conditions that follow from what else there is at that moment. */
export function shownPolicies(backend: ResourceBackend<"TrafficPolicy">, basis: PolicyBasis): ResourceBackend<"TrafficPolicy"> {
  const surroundings = policySurroundings(basis);
  return shownBackend(backend, {
    show: (policy) => ({ ...policy, status: { ...policy.status, conditions: policyConditions(policy, surroundings()) } }),
    stored: storedPolicy,
  });
}

/** What is stored of a policy that was shown. Pure. */
export function storedPolicy(policy: TrafficPolicy): TrafficPolicy {
  const { status: _, ...rest } = policy;
  return rest;
}

/** The surroundings of this moment; what is made of all policies, or of all clusters, is made anew only once those have changed. */
export function policySurroundings({ stored, clusters, objects }: PolicyBasis): () => PolicySurroundings {
  const byName = remembered((items: ReadonlyMap<string, { readonly value: TrafficPolicy }>) => policiesByName([...items.values()].map(({ value }) => value)));
  const byTrustDomain = remembered((all: ReadonlyMap<string, Cluster>) => Map.groupBy(all.keys(), (name) => all.get(name)?.spec.trustDomain));
  return () => {
    const published = objects();
    const clustersOf = byTrustDomain(clusters());
    return {
      hasRegion: (region) => stored.Region.current.items.has(region),
      trustDomains: new Set([...clustersOf.keys()].filter((trustDomain) => trustDomain !== undefined)),
      policiesFor: byName(stored.TrafficPolicy.current.items),
      isExported: (service) => (clustersOf.get(service.trustDomain) ?? []).some((origin) => published.get(objectId({ origin, kind: "ServiceExport", key: resourceId(service) }))?.payload.tombstone === false),
    };
  };
}

/** `make` of the same argument as last time is what it was then. */
function remembered<A, R>(make: (argument: A) => R): (argument: A) => R {
  let latest: { readonly of: A; readonly made: R } | undefined;
  return (argument) => {
    if (latest?.of !== argument) latest = { of: argument, made: make(argument) };
    return latest.made;
  };
}
