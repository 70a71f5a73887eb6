import type { TrustDomainName } from "#federation/model/names.ts";
import { comparePolicies } from "#federation/model/policy-precedence.ts";
import type { TrafficPolicy } from "#federation/model/resource.ts";
import type { ServiceRef } from "#federation/model/service.ts";

/** The policy that targets each service, by `targetKey`; the first by `comparePolicies`, should several do. Pure, O(policies log policies). */
export function policiesByTarget(policies: Iterable<TrafficPolicy>, ownTrustDomain: TrustDomainName): ReadonlyMap<string, TrafficPolicy> {
  const byTarget = new Map<string, TrafficPolicy>();
  for (const policy of [...policies].toSorted(comparePolicies)) {
    const { namespace, name, trustDomain = ownTrustDomain } = policy.spec.targetRef;
    const key = targetKey({ namespace, name, trustDomain });
    if (!byTarget.has(key)) byTarget.set(key, policy);
  }
  return byTarget;
}

/** `namespace/name/trust domain`. */
export function targetKey({ namespace, name, trustDomain }: ServiceRef): string {
  return `${namespace}/${name}/${trustDomain}`;
}
