import type { ClusterId, SpiffeId, TrustDomainName } from "#federation/model/names.ts";
import { pathOf, trustDomainOf } from "#federation/model/spiffe-id.ts";
import type { Subscriber } from "./discovery/discovery-tables.ts";

/** What a caller of this cluster is to discovery: a workload of its trust domain, or this cluster's gateway; nobody else. */
export function subscriberOf(identity: SpiffeId | undefined, self: { readonly cluster: ClusterId; readonly trustDomain: TrustDomainName }): Subscriber | undefined {
  if (identity === undefined || trustDomainOf(identity) !== self.trustDomain) return undefined;
  const path = pathOf(identity);
  if (path === `/atoll/gateway/${self.cluster}`) return { kind: "gateway", identity };
  return /^\/ns\/[^/]+\/sa\/[^/]+$/.test(path) ? { kind: "workload", identity } : undefined;
}
