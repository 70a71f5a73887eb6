import type { X509Certificate } from "node:crypto";
import { parseX509 } from "#federation/identity/authority.ts";
import { parseBundle } from "#federation/identity/bundle-jwks.ts";
import { parseChainPem } from "#federation/identity/pem.ts";
import type { AuthorityCertificate } from "#federation/model/authority-certificate.ts";
import type { TrustDomainName } from "#federation/model/names.ts";
import type { TrustDomain } from "#federation/model/resource.ts";

/** What of a certificate is told of one that others are issued by. Pure. */
export function authorityRow(role: AuthorityCertificate["role"], trustDomain: TrustDomainName, { validFromDate, validToDate }: X509Certificate): AuthorityCertificate {
  return { role, trustDomain, notBeforeMs: validFromDate.getTime(), notAfterMs: validToDate.getTime() };
}

/** The first certificate of a PEM text. @throws {ATOLL_CERTIFICATE_INVALID} */
export function firstCertificate(pem: string): X509Certificate {
  return parseX509(parseChainPem(pem)[0] ?? new Uint8Array());
}

/** Authority and root of each trust domain that the federation knows; of several roots the one that ends last. One that cannot be read is left out. Pure. */
export function trustDomainAuthorities(trustDomains: Iterable<TrustDomain>): readonly AuthorityCertificate[] {
  return [...trustDomains].flatMap(({ metadata, spec }) => {
    const name = metadata.name as TrustDomainName;
    try {
      const roots = parseBundle(spec.bundle, name).x509Authorities.map((der) => authorityRow("root", name, parseX509(der)));
      return [authorityRow("authority", name, firstCertificate(spec.authorityCertificatePem)), ...roots.toSorted((a, b) => b.notAfterMs - a.notAfterMs).slice(0, 1)];
    } catch {
      // Nobody takes it up either, and says so.
      return [];
    }
  });
}
