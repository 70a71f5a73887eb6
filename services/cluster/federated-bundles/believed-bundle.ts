import type { TrustDomainName } from "#federation/model/names.ts";
import type { FederatedTrustDomain } from "#federation/model/resource.ts";
import type { TrustBundle } from "#federation/model/trust-bundle.ts";
import { isAtollError } from "#federation/runtime/errors.ts";
import { faultOfBundle } from "./accept-fetched.ts";

/** Reads a bundle document; throws a coded error when it is not one of `trustDomain`. */
export type ParseBundle = (document: string, trustDomain: TrustDomainName) => TrustBundle;

/**
 * By which bundle identities of a federated trust domain are verified: what its endpoint said last and was taken, unless its people have
 * handed over one with a higher sequence. Undefined while there is neither. Pure.
 */
export function believedBundle({ metadata, spec, status }: FederatedTrustDomain, parse: ParseBundle): TrustBundle | undefined {
  const read = (document: string | undefined): TrustBundle | undefined => (document === undefined ? undefined : readBundle(document, metadata.name as TrustDomainName, parse));
  const fetched = read(status?.fetched?.bundle);
  const given = read(spec.trustDomainBundle);
  const believed = fetched === undefined || (given !== undefined && given.sequence > fetched.sequence) ? given : fetched;
  return believed === undefined ? undefined : { ...believed, isFederated: true };
}

/** What is stored was read before it was stored; a later version may have taken what this one cannot read. */
function readBundle(document: string, trustDomain: TrustDomainName, parse: ParseBundle): TrustBundle | undefined {
  try {
    const bundle = parse(document, trustDomain);
    return faultOfBundle(bundle) === undefined ? bundle : undefined;
  } catch (error) {
    if (isAtollError(error)) return undefined;
    throw error;
  }
}
