import type { X509Certificate } from "node:crypto";

/** As those of planes and proxies: what is left then is long enough for whatever stands in the way of the next one. */
const renewedAfterRatio = 0.5;

/** True when so much of a certificate's life is over that another is to be made. Pure. */
export function isAged(certificate: X509Certificate, nowMs: number): boolean {
  const fromMs = certificate.validFromDate.getTime();
  return nowMs >= fromMs + (certificate.validToDate.getTime() - fromMs) * renewedAfterRatio;
}
