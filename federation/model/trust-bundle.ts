import type { TrustDomainName } from "./names.ts";

/** The roots of one trust domain. Bundles of two domains are never merged. */
export interface TrustBundle {
  readonly trustDomain: TrustDomainName;
  /** Only grows; an older one never replaces a newer one. */
  readonly sequence: number;
  readonly refreshHintSeconds: number;
  /** Root certificates, DER. Never empty in a bundle that is used. */
  readonly x509Authorities: readonly Uint8Array[];
}
