import { X509Certificate } from "node:crypto";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { isAtollError } from "#federation/runtime/errors.ts";

/** The certificate in the text of an admin context, and the plane that it leads to (`host:port`). */
export interface ContextCertificate {
  readonly certificate: X509Certificate;
  /** What it was issued by, as it shows; undefined for one that a root has issued. */
  readonly issuer: X509Certificate | undefined;
  readonly federation: string;
  readonly server: string;
}

/** Undefined for callers by token, and where there is nothing that could be read. */
export function contextCertificate(contextText: string): ContextCertificate | undefined {
  try {
    const context = parseAdminContext(contextText);
    if (!("certificatePem" in context)) return undefined;
    const [certificate, issuer] = context.certificatePem.split(/(?=-----BEGIN CERTIFICATE-----)/).map((pem) => new X509Certificate(pem));
    return certificate === undefined ? undefined : { certificate, issuer, federation: context.federation, server: context.server };
  } catch (error) {
    if (isAtollError(error, "ATOLL_CONFIG_INVALID") || (error instanceof Error && "code" in error && String(error.code).startsWith("ERR_OSSL"))) return undefined;
    throw error;
  }
}
