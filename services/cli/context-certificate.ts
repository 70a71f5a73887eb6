import { X509Certificate } from "node:crypto";
import { parseAdminContext } from "#federation/admin-api/admin-context.ts";
import { isAtollError } from "#federation/runtime/errors.ts";

/** The certificate in the text of an admin context, and the plane that it leads to (`host:port`). */
export interface ContextCertificate {
  readonly certificate: X509Certificate;
  readonly server: string;
}

/** Undefined for callers by token, and where there is nothing that could be read. */
export function contextCertificate(contextText: string): ContextCertificate | undefined {
  try {
    const context = parseAdminContext(contextText);
    return "certificatePem" in context ? { certificate: new X509Certificate(context.certificatePem), server: context.server } : undefined;
  } catch (error) {
    if (isAtollError(error, "ATOLL_CONFIG_INVALID") || (error instanceof Error && "code" in error && String(error.code).startsWith("ERR_OSSL"))) return undefined;
    throw error;
  }
}
