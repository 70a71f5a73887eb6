import type { FederationStatus } from "#federation/admin-api/status.ts";
import { policiesByName, policyConditions, policyFaults, targetNotExported, type PolicySurroundings } from "#federation/model/policy-conditions.ts";
import { resourceId, type Resource, type ServiceTarget } from "#federation/model/resource.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import type { Planes } from "../planes.ts";

/** One reason for which a policy does not do what it says. */
export interface PolicyFinding {
  /** `namespace/name`. */
  readonly policy: string;
  /** As in its condition, e.g. `RegionNotFound`. */
  readonly reason: string;
  readonly message: string;
  /** It may come by itself, with what others do: nothing is wrong yet. */
  readonly mayCome: boolean;
}

/** Services that no cluster exports are looked for in the clusters themselves, so many at most; more are taken for not there. */
const lookedForMax = 32;

export interface PolicyQuestion {
  /** The services that are exported, as the global plane's status has them. */
  readonly services: FederationStatus["services"];
  /** Absent: all policies there are. */
  readonly applied?: readonly Resource[];
}

/**
 * What policies refer to and is not there, and which of them stand in each other's way, once `applied` are: of these alone, or of all where
 * `applied` is absent. What `applied` holds besides counts as there. Asks the global plane, and clusters where no export answers it.
 */
export async function findPolicyFaults(planes: Planes, { services, applied }: PolicyQuestion, signal: AbortSignal): Promise<readonly PolicyFinding[]> {
  const global = planes.global();
  const [regions, clusters, present] = await Promise.all([global.list("Region", {}, signal), global.list("Cluster", {}, signal), global.list("TrafficPolicy", {}, signal)]);
  const all = [...regions, ...clusters, ...present, ...(applied ?? [])];
  const policies = [...new Map(ofKind(all, "TrafficPolicy").map((policy) => [resourceId(policy.metadata), policy])).values()];
  const regionNames = new Set<string>(ofKind(all, "Region").map(({ metadata }) => metadata.name));
  const exported = new Set(services.map(({ namespace, name, trustDomain }) => `${namespace}/${name}/${trustDomain}`));
  const around: PolicySurroundings = {
    hasRegion: (region) => regionNames.has(region),
    trustDomains: new Set(ofKind(all, "Cluster").map(({ spec }) => spec.trustDomain)),
    policiesFor: policiesByName(policies),
    isExported: ({ namespace, name, trustDomain }) => exported.has(`${namespace}/${name}/${trustDomain}`),
  };
  const judged = applied === undefined ? policies : ofKind(applied, "TrafficPolicy");
  const findings = judged.flatMap((policy) => policyFaults(policyConditions(policy, around)).map(({ reason, message }) => ({ policy: resourceId(policy.metadata), target: policy.spec.targetRef, reason, message, mayCome: reason === targetNotExported })));
  const clustersOf = ({ trustDomain }: ServiceTarget): readonly string[] => ofKind(all, "Cluster").filter(({ spec }) => trustDomain === undefined || spec.trustDomain === trustDomain).map(({ metadata }) => metadata.name);
  const isKept = await serviceLookup(planes, { targets: findings.filter(({ mayCome }) => mayCome).map(({ target }) => target), applied: applied ?? [], clustersOf }, signal);
  return findings.filter(({ mayCome, target }) => !mayCome || !isKept(target)).map(({ target: _, ...finding }) => finding);
}

interface Lookup {
  readonly targets: readonly ServiceTarget[];
  readonly applied: readonly Resource[];
  readonly clustersOf: (target: ServiceTarget) => readonly string[];
}

/** Of `targets` those that a cluster has without exporting them, or will have by what is applied. */
async function serviceLookup(planes: Planes, { targets, applied, clustersOf }: Lookup, signal: AbortSignal): Promise<(target: ServiceTarget) => boolean> {
  const brought = new Set([...ofKind(applied, "Service"), ...ofKind(applied, "ServiceExport")].map(({ metadata }) => resourceId(metadata)));
  const missing = new Map(targets.filter((target) => !brought.has(resourceId(target))).map((target) => [targetId(target), target]));
  const looked = [...missing].slice(0, lookedForMax).map(async ([id, target]) => [id, (await Promise.all(clustersOf(target).map(async (cluster) => await hasService(planes, cluster, target, signal)))).includes(true)] as const);
  const kept = new Map(await Promise.all(looked));
  return (target) => brought.has(resourceId(target)) || kept.get(targetId(target)) === true;
}

/** False also of a cluster that does not answer, which others of its findings name. */
async function hasService(planes: Planes, cluster: string, { namespace, name }: ServiceTarget, signal: AbortSignal): Promise<boolean> {
  try {
    await planes.cluster(cluster).get("Service", { namespace, name }, signal);
    return true;
  } catch (error) {
    if (!isAtollError(error)) throw error;
    return false;
  }
}

function targetId(target: ServiceTarget): string {
  return `${resourceId(target)}/${target.trustDomain ?? "*"}`;
}

/** In one sentence each. Pure. */
export function policyWords({ policy, message }: PolicyFinding): string {
  return `TrafficPolicy ${policy}: ${message}`;
}

function ofKind<K extends Resource["kind"]>(resources: readonly Resource[], kind: K): readonly Extract<Resource, { readonly kind: K }>[] {
  return resources.filter((resource): resource is Extract<Resource, { readonly kind: K }> => resource.kind === kind);
}
