import { isIP } from "node:net";
import { z } from "zod";
import { hostForm, isHost } from "#federation/runtime/dns/host-name.ts";
import { isClusterId, labelForm, clusterIdForm, type ClusterId, type RegionId, type SpiffeId, type TrustDomainName } from "../names.ts";
import { isSpiffeId, isTrustDomainName, spiffeIdLengthMax, trustDomainLengthMax } from "../spiffe-id.ts";

// Schemas of ids answer with their branded types: what a schema has let through is what `parse*` would have made.

/** An RFC 1123 label. */
export const labelSchema = z.string().regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, { error: labelForm, abort: true });

export const regionIdSchema = labelSchema as unknown as z.ZodType<RegionId, string>;

export const clusterIdSchema = labelSchema.refine(isClusterId, clusterIdForm) as unknown as z.ZodType<ClusterId, string>;

export const trustDomainSchema = z
  .string()
  .max(trustDomainLengthMax, `at most ${trustDomainLengthMax} characters`)
  .refine(isTrustDomainName, "a trust domain: lower-case DNS labels, the last one not only digits") as unknown as z.ZodType<TrustDomainName, string>;

export const spiffeIdSchema = z
  .string()
  .max(spiffeIdLengthMax, `at most ${spiffeIdLengthMax} characters`)
  .refine(isSpiffeId, "a SPIFFE ID: spiffe://<trust domain>/<path>") as unknown as z.ZodType<SpiffeId, string>;

/** `<namespace>/<name>`. */
export const namespacedNameSchema = z
  .string()
  .regex(/^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/, "<namespace>/<name>");

/** `ns/<namespace>/sa/<name>`, or `*`. */
export const principalSchema = z
  .string()
  .regex(/^(\*|ns\/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\/sa\/[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?)$/, 'ns/<namespace>/sa/<name>, or "*"');

/** A TCP port that can be listened on. */
export const portSchema = z.int("a port, 1 to 65535").min(1, "a port, 1 to 65535").max(65_535, "a port, 1 to 65535");

/** A literal IPv4 or IPv6 address, without a zone. */
export const ipAddressSchema = z.string().max(45).refine((text) => isIP(text) !== 0 && !text.includes("%"), "a literal IP address");

/** A literal IP address, without a zone, or a DNS name. */
export const hostSchema = z
  .string()
  .max(253, "at most 253 characters")
  .refine(isHost, hostForm);

/** RFC 3339 with a time zone. */
export const timestampSchema = z.iso.datetime({ offset: true, error: "a time as in 2027-01-31T12:00:00Z" }).max(40);

/** SHA-256 in lower-case hex. */
export const sha256Schema = z.string().regex(/^[0-9a-f]{64}$/, "a SHA-256 as 64 lower-case hex digits");

/** base64url without padding, at most 1 KiB. */
export const signatureSchema = z.string().regex(/^[A-Za-z0-9_-]{1,1024}$/, "a signature in base64url without padding");

/** A list without repetition of what `keyOf` says. */
export function distinctList<Item extends z.ZodType>(item: Item, max: number, keyOf: (value: z.output<Item>) => unknown = (value) => value) {
  return z
    .array(item)
    .max(max, `at most ${max} entries`)
    .refine((values) => new Set(values.map(keyOf)).size === values.length, "entries that differ from each other");
}
