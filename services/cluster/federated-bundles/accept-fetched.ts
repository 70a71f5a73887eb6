import { isDeepStrictEqual } from "node:util";
import { acceptBundle, type BundleDecision } from "#federation/identity/accept-bundle.ts";
import { selectAnchorRoots } from "#federation/identity/anchors.ts";
import { federatedRootsMax } from "#federation/model/federated-trust-domain.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";

/** What becomes of a bundle that was fetched; why it is refused is a sentence for people. */
export type FetchedDecision = Exclude<BundleDecision, { readonly kind: "refused" }> | { readonly kind: "refused"; readonly reason: "sequence" | "empty" | "size"; readonly message: string };

/**
 * Whether a bundle that an endpoint has served takes the place of `current`: as `acceptBundle` has it, and further
 * - documents without a sequence (it is optional, and reads as 0) are told apart by nothing but who serves them, so that the last one counts;
 * - what changes under the same sequence and roots is taken: keys of JWT-SVIDs come and go, and the refresh hint is only a hint;
 * - one whose roots are all of no use here is as good as empty.
 * Pure.
 */
export function acceptFetched(current: TrustBundle | undefined, next: TrustBundle): FetchedDecision {
  const fault = faultOfBundle(next);
  if (fault !== undefined) return { kind: "refused", ...fault };
  const decision = acceptBundle(current, next);
  if (decision.kind === "unchanged" && !isSameBeside(decision.bundle, next)) return { kind: "accepted", bundle: next };
  if (decision.kind !== "refused") return decision;
  if (decision.reason === "sequenceReused" && next.sequence === 0) return { kind: "accepted", bundle: next };
  return { kind: "refused", reason: "sequence", message: `its bundle has sequence ${next.sequence}, and ${decision.reason === "sequenceReused" ? "other roots than the one of that sequence that is believed" : `one with ${current?.sequence ?? 0} is believed`}` };
}

/** Why a bundle of a federated trust domain can be believed by nobody; undefined where it can. Pure. */
export function faultOfBundle(bundle: TrustBundle): { readonly reason: "empty" | "size"; readonly message: string } | undefined {
  const { length } = bundle.x509Authorities;
  if (length > federatedRootsMax) return { reason: "size", message: `its bundle has ${length} roots, and ${federatedRootsMax} are taken` };
  return selectAnchorRoots([bundle]).roots.length === 0 ? { reason: "empty", message: "its bundle has no root that is of use" } : undefined;
}

function isSameBeside(left: TrustBundle, right: TrustBundle): boolean {
  const keysOf = ({ jwtAuthorities = [] }: TrustBundle): ReadonlyMap<string, string> => new Map(jwtAuthorities.map(({ keyId, publicKey }) => [keyId, Buffer.from(publicKey).toString("base64")]));
  return left.refreshHintSeconds === right.refreshHintSeconds && isDeepStrictEqual(keysOf(left), keysOf(right));
}
