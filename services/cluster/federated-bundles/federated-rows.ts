import type { CollectionState } from "#federation/catalog/collection.ts";
import type { ClusterStatus } from "#federation/admin-api/status.ts";
import { selectAnchorRoots } from "#federation/identity/anchors.ts";
import { parseX509 } from "#federation/identity/authority.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { FederatedTrustDomain } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import type { FederatedBundles } from "./federated-bundles.ts";

export type FederatedRow = NonNullable<ClusterStatus["federatedTrustDomains"]>[number];

/** What is known of each federated trust domain, in the order of their names. `bundles` is what is believed. Pure. */
export function federatedRows({ items }: Pick<CollectionState<FederatedTrustDomain>, "items">, bundles: ReadonlyMap<TrustDomainName, TrustBundle>, fetches: Pick<FederatedBundles, "standing">): readonly FederatedRow[] {
  return Array.from(items.values(), ({ value }) => value)
    .map(({ metadata, spec, status }): FederatedRow => {
      const trustDomain = metadata.name as TrustDomainName;
      const bundle = bundles.get(trustDomain);
      const acceptedAt = status?.fetched?.acceptedAt;
      const { confirmedAtMs, nextFetchMs, fault } = fetches.standing(trustDomain);
      return {
        trustDomain,
        profile: spec.bundleEndpoint.profile,
        ...(bundle?.isFederated === true ? { sequence: bundle.sequence, roots: bundle.x509Authorities.length, jwtAuthorities: bundle.jwtAuthorities?.length ?? 0, rootsNotAfterMs: rootsEndMs(bundle) } : {}),
        ...(acceptedAt === undefined ? {} : { acceptedAtMs: Date.parse(acceptedAt) }),
        ...(confirmedAtMs === undefined ? {} : { confirmedAtMs: Math.floor(confirmedAtMs) }),
        ...(nextFetchMs === undefined ? {} : { nextFetchMs: Math.floor(nextFetchMs) }),
        ...(fault === undefined ? {} : { fault: { ...fault, sinceMs: Math.floor(fault.sinceMs) } }),
      };
    })
    .toSorted((a, b) => (a.trustDomain < b.trustDomain ? -1 : 1));
}

/** When the last of its roots ends: from then on none of its identities verifies. */
function rootsEndMs(bundle: TrustBundle): number {
  return Math.max(0, ...selectAnchorRoots([bundle]).roots.map(({ der }) => parseX509(der).validToDate.getTime()));
}
