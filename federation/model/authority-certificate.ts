import type { TrustDomainName } from "./names.ts";

/** The life of a certificate that others are issued by. */
export interface AuthorityCertificate {
  /** Of a trust domain its root, or its authority; `issuing`: what the federation's global plane issues by day by day. */
  readonly role: "root" | "authority" | "issuing";
  readonly trustDomain: TrustDomainName;
  /** Wall-clock ms. */
  readonly notBeforeMs: number;
  /** Wall-clock ms. */
  readonly notAfterMs: number;
}
