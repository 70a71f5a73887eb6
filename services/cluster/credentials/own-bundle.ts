import { acceptBundle } from "#federation/identity/accept-bundle.ts";
import { isSignedByAuthority } from "#federation/identity/authority-signature.ts";
import { parseX509 } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { isIssuedBy } from "#federation/identity/issued-by.ts";
import type { TrustDomainSpec } from "#federation/model/resource.ts";
import { trustDomainSigningInput } from "#federation/model/signing-input.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { AtollError } from "#federation/runtime/errors.ts";
import type { ClusterKeys } from "./cluster-keys.ts";

/**
 * The bundle that a cluster goes by after it has heard `statement` of its own trust domain: the held one, the same object, where that says
 * nothing new. By the authority that the cluster holds in its files, whatever certificate the statement names. Pure.
 * @throws {ATOLL_BUNDLE_INVALID} for a statement that the authority has not signed, that cannot be read, or that is older than what is held
 */
export function ownBundleAfter({ bundle: held, authorityCertificatePem }: Pick<ClusterKeys, "bundle" | "authorityCertificatePem">, statement: TrustDomainSpec): TrustBundle {
  const { trustDomain } = held;
  if (!isSignedByAuthority(authorityCertificatePem, trustDomainSigningInput(trustDomain, statement.bundle), statement.bundleSignature)) {
    throw new AtollError("ATOLL_BUNDLE_INVALID", `the bundle of ${trustDomain} does not carry the signature of the authority that this cluster holds`);
  }
  return newerBundle(held, parseBundle(statement.bundle, trustDomain));
}

/** `next`, or `held` where both are the same. @throws {ATOLL_BUNDLE_INVALID} where `next` must not take its place */
export function newerBundle(held: TrustBundle, next: TrustBundle): TrustBundle {
  const decision = acceptBundle(held, next);
  if (decision.kind !== "refused") return decision.bundle;
  throw new AtollError("ATOLL_BUNDLE_INVALID", `the bundle of ${held.trustDomain} with sequence ${next.sequence} does not take the place of the one with sequence ${held.sequence}: ${decision.reason}`);
}

/** True when the cluster's intermediate is of the root that its bundle names first, by which the signer issues. */
export function isOfIssuingRoot({ issuer, bundle }: Pick<ClusterKeys, "issuer" | "bundle">): boolean {
  const intermediate = issuer?.chain[0];
  const [root] = bundle.x509Authorities;
  return intermediate === undefined || root === undefined || isIssuedBy(parseX509(intermediate), parseX509(root));
}
