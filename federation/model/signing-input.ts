import type { TrustDomainName } from "./names.ts";
import type { RelationshipSpec } from "./resource.ts";

/**
 * The exact bytes that a trust domain's authority signs for its bundle. The leading context keeps a signature for
 * one purpose from being shown for another; zero bytes part the fields, and no field can hold one.
 */
export function trustDomainSigningInput(trustDomain: TrustDomainName, bundle: string): Uint8Array {
  return joined(["atoll.dev/v1alpha1/TrustDomain", trustDomain, bundle]);
}

/** The exact bytes that an authority signs to approve a relationship: every fact of the spec, its lists in order of code units. */
export function relationshipSigningInput(name: string, spec: RelationshipSpec): Uint8Array {
  return joined([
    "atoll.dev/v1alpha1/Relationship",
    name,
    spec.caller.trustDomain,
    spec.caller.authoritySha256,
    [...spec.caller.principals].sort().join(","),
    spec.callee.trustDomain,
    spec.callee.authoritySha256,
    [...spec.callee.services].sort().join(","),
    new Date(spec.validUntil).toISOString(),
  ]);
}

function joined(fields: readonly string[]): Uint8Array {
  return new TextEncoder().encode(fields.join("\0"));
}
