import { acceptBundle } from "#federation/identity/accept-bundle.ts";
import { trustDomainOfAuthority } from "#federation/identity/authority.ts";
import { authorityPinOf } from "#federation/identity/authority-pin.ts";
import { isSignedByAuthority } from "#federation/identity/authority-signature.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustDomainSpec } from "#federation/model/resource.ts";
import { trustDomainSigningInput } from "#federation/model/signing-input.ts";
import { describeError } from "#federation/runtime/errors.ts";

/** What becomes of what a trust domain says of itself. */
export type TrustDomainVerdict = { readonly kind: "accepted" | "unchanged" } | { readonly kind: "refused"; readonly reason: string };

/**
 * Whether `next` takes the place of `present`: the first word pins the authority; after that only the same authority
 * changes anything, and only by a newer bundle that it signed. Pure.
 */
export function judgeTrustDomain(trustDomain: TrustDomainName, present: TrustDomainSpec | undefined, next: TrustDomainSpec): TrustDomainVerdict {
  try {
    const [authorityDer = new Uint8Array()] = parseChainPem(next.authorityCertificatePem);
    if (trustDomainOfAuthority(authorityDer) !== trustDomain) return refused(`the authority is not one of ${trustDomain}`);
    if (present !== undefined && authorityPinOf(present.authorityCertificatePem) !== authorityPinOf(next.authorityCertificatePem)) {
      return refused(`the authority of ${trustDomain} is pinned already, and it is another one`);
    }
    if (!isSignedByAuthority(next.authorityCertificatePem, trustDomainSigningInput(trustDomain, next.bundle), next.bundleSignature)) {
      return refused(`the bundle of ${trustDomain} does not carry its authority's signature`);
    }
    const current = present === undefined ? undefined : parseBundle(present.bundle, trustDomain);
    const decision = acceptBundle(current, parseBundle(next.bundle, trustDomain));
    return decision.kind === "refused" ? refused(`the bundle of ${trustDomain} was refused: ${decision.reason}`) : { kind: decision.kind };
  } catch (error) {
    return refused(`what was brought of ${trustDomain} cannot be read: ${describeError(error)}`);
  }
}

function refused(reason: string): TrustDomainVerdict {
  return { kind: "refused", reason };
}
