import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { withJwtAuthorities } from "#federation/model/trust-bundle.ts";
import type { ClusterState } from "../cluster-state.ts";

/**
 * The bundles that a cluster goes by, that of its own trust domain first, and where each comes from: the documents that their signers have numbered.
 * Keys of JWT-SVIDs come and go without a number, and are in none of them. Pure.
 */
export function bundleRows({ self, bundles }: Pick<ClusterState, "self" | "bundles">, heardAgeMs: number | undefined): readonly BundleRow[] {
  const rows = [...bundles].map(([trustDomain, bundle]): BundleRow => {
    if (bundle.isFederated === true) return { trustDomain, sequence: bundle.sequence, document: encodeBundle(bundle), from: "bundleEndpoint" };
    const told = { trustDomain, sequence: bundle.sequence, document: encodeBundle(withJwtAuthorities(bundle, [])) };
    if (trustDomain === self.trustDomain) return { ...told, from: "signer" };
    return { ...told, from: "globalPlane", ...(heardAgeMs === undefined ? {} : { heardAgeMs: Math.floor(heardAgeMs) }) };
  });
  return rows.toSorted((a, b) => Number(b.from === "signer") - Number(a.from === "signer") || (a.trustDomain < b.trustDomain ? -1 : 1));
}
