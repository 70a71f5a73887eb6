import { z } from "zod";
import { AtollError } from "#federation/runtime/errors.ts";
import { faultsOf, formatFault } from "#federation/model/parse/fault.ts";
import { spiffeIdSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";

/** How an operator reaches a plane: the content of an admin context file, which holds a private key and is kept 0600. */
export interface AdminContext {
  /** `host:port`, IPv6 in brackets; empty until the plane has run once. */
  readonly server: string;
  readonly federation: TrustDomainName;
  /** Constrained anchors: what the server's certificate must lead up to. */
  readonly caPem: string;
  /** Leaf first. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
  /** Whom the server must be; the federation's global plane unless told. */
  readonly serverId?: SpiffeId;
}

const pem = z.string().min(1).max(262_144);

const contextSchema: z.ZodType<AdminContext> = z.strictObject({
  server: z.string().max(300).regex(/^$|^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "host:port"),
  federation: trustDomainSchema,
  caPem: pem,
  certificatePem: pem,
  privateKeyPem: pem,
  serverId: z.exactOptional(spiffeIdSchema),
});

/** Reads the text of an admin context file. @throws {ATOLL_CONFIG_INVALID} with every fault, and no value of a field. */
export function parseAdminContext(text: string): AdminContext {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    // The platform's message quotes the text, which holds a key.
    throw new AtollError("ATOLL_CONFIG_INVALID", "the admin context is not JSON");
  }
  const result = contextSchema.safeParse(input);
  if (result.success) return result.data;
  const faults = faultsOf(result.error, input).map((fault) => formatFault({ ...fault, found: fault.found === "nothing" ? "nothing" : "something else" }));
  throw new AtollError("ATOLL_CONFIG_INVALID", `the admin context cannot be used: ${faults.join("; ")}`);
}
