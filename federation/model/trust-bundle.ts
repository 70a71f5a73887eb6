import type { TrustDomainName } from "./names.ts";

/** The roots of one trust domain. Bundles of two domains are never merged. */
export interface TrustBundle {
  readonly trustDomain: TrustDomainName;
  /** Of the roots. Only grows; an older one never replaces a newer one. */
  readonly sequence: number;
  readonly refreshHintSeconds: number;
  /** Root certificates, DER. Never empty in a bundle that is used. Clusters of the trust domain itself take the first for the one by which its signer issues. */
  readonly x509Authorities: readonly Uint8Array[];
  /** Those that sign JWT-SVIDs, each key id once. They come and go without a new sequence. Absent: none is known. */
  readonly jwtAuthorities?: readonly JwtAuthority[];
  /** Present of a trust domain outside of this federation, by a FederatedTrustDomain: every workload of the cluster is told of it, and which of two is newer is its plane's to say. */
  readonly isFederated?: true;
}

/** A key by which JWT-SVIDs of a trust domain are signed. */
export interface JwtAuthority {
  /** What tokens name as `kid`. */
  readonly keyId: string;
  /** P-256 SubjectPublicKeyInfo, DER. */
  readonly publicKey: Uint8Array;
}

/** Longest key id, in characters. */
export const jwtKeyIdLengthMax = 128;

/** JWT authorities of one trust domain, those of all its clusters together: with the longest key ids they are a third of what one resource may have. */
export const jwtAuthoritiesMax = 1_024;

/** `bundle` with exactly `authorities`; itself where it has them. */
export function withJwtAuthorities(bundle: TrustBundle, authorities: readonly JwtAuthority[]): TrustBundle {
  if (isSameAuthorities(bundle.jwtAuthorities ?? [], authorities)) return bundle;
  const { jwtAuthorities: _, ...roots } = bundle;
  return authorities.length === 0 ? roots : { ...roots, jwtAuthorities: authorities };
}

function isSameAuthorities(left: readonly JwtAuthority[], right: readonly JwtAuthority[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every(({ keyId, publicKey }, index) => keyId === right[index]?.keyId && Buffer.compare(publicKey, right[index].publicKey) === 0);
}
