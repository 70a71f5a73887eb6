import type { RegionId, TrustDomainName } from "./names.ts";
import { comparePolicies } from "./policy-precedence.ts";
import { resourceId, type Condition, type TrafficPolicy } from "./resource.ts";
import type { ServiceRef } from "./service.ts";

/** What a policy may refer to, as whoever judges it knows it. */
export interface PolicySurroundings {
  readonly hasRegion: (region: RegionId) => boolean;
  /** Those that clusters are of. */
  readonly trustDomains: ReadonlySet<TrustDomainName>;
  /** Every policy for a service of this name, of whatever trust domain. */
  readonly policiesFor: (service: { readonly namespace: string; readonly name: string }) => readonly TrafficPolicy[];
  readonly isExported: (service: ServiceRef) => boolean;
}

/**
 * What becomes of a policy, by Gateway API's conditions for policies: `Accepted`, False where another policy holds in its place everywhere;
 * `Conflicted`, True where one does anywhere; `ResolvedRefs`, False where it names what does not exist, and Unknown where no cluster
 * exports its service, since one may have it for itself alone. They follow from what there is and are never stored, so that the time
 * of a transition is the policy's own. Pure, O(policies for its service).
 * @see https://gateway-api.sigs.k8s.io/geps/gep-713/
 */
export function policyConditions(policy: TrafficPolicy, around: PolicySurroundings): readonly Condition[] {
  const { metadata } = policy;
  const common = { observedGeneration: metadata.generation ?? 0, lastTransitionTime: metadata.createdAt ?? "1970-01-01T00:00:00Z" };
  return [...precedence(policy, around), resolvedRefs(policy, around)].map((condition) => ({ ...condition, ...common }));
}

/** Of these conditions those that say that a policy does not do what it says, each once. */
export function policyFaults(conditions: readonly Condition[]): readonly Condition[] {
  return conditions.filter(({ type, status }) => (type === "Conflicted" && status === "True") || (type === "ResolvedRefs" && status !== "True"));
}

/** For `policiesFor`: what all of `policies` are for. Pure, O(policies). */
export function policiesByName(policies: Iterable<TrafficPolicy>): PolicySurroundings["policiesFor"] {
  const byName = Map.groupBy(policies, ({ spec }) => resourceId(spec.targetRef));
  return (service) => byName.get(resourceId(service)) ?? [];
}

/** The reason of `ResolvedRefs` where no cluster exports what a policy is for. */
export const targetNotExported = "TargetNotExported";

type Found = Pick<Condition, "type" | "status" | "reason" | "message">;

function precedence(policy: TrafficPolicy, around: PolicySurroundings): readonly Found[] {
  const id = resourceId(policy.metadata);
  const { targetRef } = policy.spec;
  const others = around.policiesFor(targetRef).filter((other) => resourceId(other.metadata) !== id && comparePolicies(other, policy) < 0);
  const targets = trustDomainsOf(policy, around);
  const before = new Map(targets.map((trustDomain) => [trustDomain, others.toSorted(comparePolicies).find((other) => trustDomainsOf(other, around).includes(trustDomain))] as const));
  const winners = [...new Set([...before.values()].flatMap((other) => (other === undefined ? [] : [resourceId(other.metadata)])))];
  if (winners.length === 0) {
    return [
      { type: "Accepted", status: "True", reason: "Accepted", message: "it holds wherever its service is called" },
      { type: "Conflicted", status: "False", reason: "NoConflicts", message: "no other policy is for its service" },
    ];
  }
  const isNowhere = [...before.values()].every((other) => other !== undefined);
  const message = `TrafficPolicy ${winners.join(", ")} is for the same service and holds in its place${isNowhere ? "" : " for some trust domains"}: of several, the first by name does`;
  return [
    isNowhere ? { type: "Accepted", status: "False", reason: "Conflicted", message } : { type: "Accepted", status: "True", reason: "Accepted", message: "it holds for some trust domains" },
    { type: "Conflicted", status: "True", reason: "TargetTaken", message },
  ];
}

function resolvedRefs(policy: TrafficPolicy, around: PolicySurroundings): Found {
  const regions = regionsOf(policy)
    .filter(([, region]) => !around.hasRegion(region))
    .map(([path, region]) => ({ reason: "RegionNotFound", message: `${path} names ${region}: there is no such Region, and the policy does without it` }));
  const missing = [...regions, ...missingTarget(policy, around)];
  const [first] = missing;
  if (first === undefined) return { type: "ResolvedRefs", status: "True", reason: "ResolvedRefs", message: "all that it names is there" };
  return { type: "ResolvedRefs", status: first.reason === targetNotExported ? "Unknown" : "False", reason: first.reason, message: missing.map(({ message }) => message).join("; ") };
}

function missingTarget(policy: TrafficPolicy, around: PolicySurroundings): readonly Pick<Found, "reason" | "message">[] {
  const { targetRef } = policy.spec;
  const { namespace, name, trustDomain } = targetRef;
  if (trustDomain !== undefined && !around.trustDomains.has(trustDomain)) return [{ reason: "TrustDomainNotFound", message: `spec.targetRef.trustDomain names ${trustDomain}: no cluster is of it` }];
  if (trustDomainsOf(policy, around).some((of) => around.isExported({ namespace, name, trustDomain: of }))) return [];
  const what = `${resourceId(targetRef)}${trustDomain === undefined ? "" : ` of ${trustDomain}`}`;
  return [{ reason: targetNotExported, message: `spec.targetRef names ${what}, which no cluster exports: it holds in the cluster that has it, and for all once it is exported` }];
}

/** The trust domains whose service of that name it is for. */
function trustDomainsOf({ spec: { targetRef } }: TrafficPolicy, { trustDomains }: PolicySurroundings): readonly TrustDomainName[] {
  return targetRef.trustDomain === undefined ? [...trustDomains] : [targetRef.trustDomain];
}

/** With the path at which each is named. */
function regionsOf({ spec: { locality } }: TrafficPolicy): readonly (readonly [path: string, region: RegionId])[] {
  if (locality?.mode === "ordered") return locality.order.map((region, at) => [`spec.locality.order[${at}]`, region]);
  if (locality?.mode === "weights") return locality.weights.map(({ region }, at) => [`spec.locality.weights[${at}].region`, region]);
  return [];
}
