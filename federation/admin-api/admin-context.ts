import { isAbsolute } from "node:path";
import { z } from "zod";
import { AtollError } from "#federation/runtime/errors.ts";
import { faultsOf, formatFault } from "#federation/model/parse/fault.ts";
import { spiffeIdSchema, trustDomainSchema } from "#federation/model/parse/name-schemas.ts";
import type { SpiffeId, TrustDomainName } from "#federation/model/names.ts";

/** How somebody reaches a plane: the content of an admin context file. One that holds a private key is kept 0600. */
export type AdminContext = PlaneAddress & (CertificateCredential | TokenCredential);

interface PlaneAddress {
  /** `host:port`, IPv6 in brackets; empty until the plane has run once. */
  readonly server: string;
  readonly federation: TrustDomainName;
  /** Constrained anchors: what the server's certificate must lead up to. */
  readonly caPem: string;
  /** Whom the server must be; the federation's global plane unless told. */
  readonly serverId?: SpiffeId;
}

export interface CertificateCredential {
  /** Leaf first. */
  readonly certificatePem: string;
  readonly privateKeyPem: string;
}

/** For machines that are given tokens, such as jobs of a CI system. */
export interface TokenCredential {
  /** Absolute path of a file with a signed token (JWT), read for each call: whoever rotates it need not tell us. */
  readonly tokenFile: string;
}

const pem = z.string().min(1).max(262_144);

const address = {
  server: z.string().max(300).regex(/^$|^(\[[0-9a-fA-F:.]+\]|[A-Za-z0-9.-]+):\d{1,5}$/, "host:port"),
  federation: trustDomainSchema,
  caPem: pem,
  serverId: z.exactOptional(spiffeIdSchema),
} as const;

const certificateSchema: z.ZodType<PlaneAddress & CertificateCredential> = z.strictObject({ ...address, certificatePem: pem, privateKeyPem: pem });
const tokenSchema: z.ZodType<PlaneAddress & TokenCredential> = z.strictObject({ ...address, tokenFile: z.string().max(4_096).refine(isAbsolute, "an absolute path") });

/** Reads the text of an admin context file. @throws {ATOLL_CONFIG_INVALID} with every fault, and no value of a field. */
export function parseAdminContext(text: string): AdminContext {
  let input: unknown;
  try {
    input = JSON.parse(text);
  } catch {
    // The platform's message quotes the text, which holds a key.
    throw new AtollError("ATOLL_CONFIG_INVALID", "the admin context is not JSON");
  }
  const isByToken = typeof input === "object" && input !== null && "tokenFile" in input;
  const result = isByToken ? tokenSchema.safeParse(input) : certificateSchema.safeParse(input);
  if (result.success) return result.data;
  const faults = faultsOf(result.error, input).map((fault) => formatFault({ ...fault, found: fault.found === "nothing" ? "nothing" : "something else" }));
  throw new AtollError("ATOLL_CONFIG_INVALID", `the admin context cannot be used: ${faults.join("; ")}`);
}
