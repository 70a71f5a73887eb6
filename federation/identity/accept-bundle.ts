import type { TrustBundle } from "#federation/model/trust-bundle.ts";

/** What becomes of a bundle that arrived. */
export type BundleDecision =
  | { readonly kind: "accepted"; readonly bundle: TrustBundle }
  | { readonly kind: "unchanged"; readonly bundle: TrustBundle }
  | { readonly kind: "refused"; readonly reason: "otherTrustDomain" | "olderSequence" | "sequenceReused" | "empty" };

/**
 * Whether `next` takes the place of `current`: same trust domain, a higher sequence, and at least one root. The same sequence
 * again is unchanged when the roots are the same, and refused when they differ. Bundles are replaced whole, never merged.
 */
export function acceptBundle(current: TrustBundle | undefined, next: TrustBundle): BundleDecision {
  if (next.x509Authorities.length === 0) return { kind: "refused", reason: "empty" };
  if (current === undefined) return { kind: "accepted", bundle: next };
  if (current.trustDomain !== next.trustDomain) return { kind: "refused", reason: "otherTrustDomain" };
  if (next.sequence < current.sequence) return { kind: "refused", reason: "olderSequence" };
  if (next.sequence > current.sequence) return { kind: "accepted", bundle: next };
  return sameRoots(current, next) ? { kind: "unchanged", bundle: current } : { kind: "refused", reason: "sequenceReused" };
}

function sameRoots(left: TrustBundle, right: TrustBundle): boolean {
  const marks = new Set(left.x509Authorities.map(mark));
  const others = new Set(right.x509Authorities.map(mark));
  return marks.size === others.size && [...marks].every((one) => others.has(one));
}

function mark(der: Uint8Array): string {
  return Buffer.from(der).toString("base64");
}
