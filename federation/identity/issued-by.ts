import type { X509Certificate } from "node:crypto";

/** True when `issuer` is whom `certificate` names, and its key has signed it. Says nothing of their times. */
export function isIssuedBy(certificate: X509Certificate, issuer: X509Certificate): boolean {
  return certificate.checkIssued(issuer) && certificate.verify(issuer.publicKey);
}
