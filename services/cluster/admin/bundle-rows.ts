import { createHash } from "node:crypto";
import type { BundleRow } from "#federation/admin-api/plane-routes.ts";
import { parseX509 } from "#federation/identity/authority.ts";
import { encodeBundle } from "#federation/identity/bundle-jwks.ts";
import { isIssuedBy } from "#federation/identity/issued-by.ts";
import { withJwtAuthorities, type TrustBundle } from "#federation/model/trust-bundle.ts";
import type { ClusterState } from "../cluster-state.ts";
import type { ClusterKeys } from "../credentials/cluster-keys.ts";
import type { DiscoveryService, HeldBy } from "../discovery/discovery-service.ts";
import { bundleGeneration, bundleKey } from "../generations.ts";

/** Most proxies that are named of those that lack a bundle. */
const namedMax = 16;

/** What a plane knows of its bundles besides the documents. */
export interface BundleFacts {
  /** Since the global plane was last heard. */
  readonly heardAgeMs: number | undefined;
  readonly heldBy: DiscoveryService["heldBy"];
  readonly keys: Pick<ClusterKeys, "issuer" | "earlierSvidsEndMs">;
  readonly nowMs: number;
}

/**
 * The bundles that a cluster goes by, that of its own trust domain first, and where each comes from: the documents that their signers have numbered.
 * Keys of JWT-SVIDs come and go without a number, and are in none of them. Pure, O(proxies) for each.
 */
export function bundleRows({ self, bundles }: Pick<ClusterState, "self" | "bundles">, { heardAgeMs, heldBy, keys, nowMs }: BundleFacts): readonly BundleRow[] {
  const rows = [...bundles].map(([trustDomain, bundle]): BundleRow => {
    if (bundle.isFederated === true) return { trustDomain, sequence: bundle.sequence, document: encodeBundle(bundle), from: "bundleEndpoint" };
    const proxies = proxiesWith(heldBy(bundleKey(trustDomain), bundleGeneration(bundle.sequence)));
    const told = { trustDomain, sequence: bundle.sequence, document: encodeBundle(withJwtAuthorities(bundle, [])), proxies };
    if (trustDomain === self.trustDomain) return { ...told, from: "signer", ...intermediateOf(bundle, keys, nowMs) };
    return { ...told, from: "globalPlane", ...(heardAgeMs === undefined ? {} : { heardAgeMs: Math.floor(heardAgeMs) }) };
  });
  return rows.toSorted((a, b) => Number(b.from === "signer") - Number(a.from === "signer") || (a.trustDomain < b.trustDomain ? -1 : 1));
}

/** Those that fell silent before they had it may come back and go by an older one, for as long as they are counted on. */
function proxiesWith({ proxies, lost, unsettledMs }: HeldBy): NonNullable<BundleRow["proxies"]> {
  const lacking = [...proxies.filter(({ standing }) => standing.kind !== "acknowledged"), ...lost].map(({ name }) => name);
  return { have: proxies.length + lost.length - lacking.length, lack: lacking.length, lacking: lacking.slice(0, namedMax), unsettledMs: Math.ceil(unsettledMs) };
}

/** Nothing where no root of the bundle vouches for the intermediate, or there is none. */
function intermediateOf({ x509Authorities }: TrustBundle, { issuer, earlierSvidsEndMs }: BundleFacts["keys"], nowMs: number): Pick<BundleRow, "intermediate"> {
  const [der] = issuer?.chain ?? [];
  const root = der === undefined ? undefined : x509Authorities.find((authority) => isIssuedBy(parseX509(der), parseX509(authority)));
  if (root === undefined) return {};
  return { intermediate: { rootSha256: createHash("sha256").update(root).digest("hex"), earlierSvidsLeftMs: Math.max(0, Math.ceil(earlierSvidsEndMs - nowMs)) } };
}
