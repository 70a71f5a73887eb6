import { AtollError } from "#federation/runtime/errors.ts";

/** Ids are strings that only their `parse*` makes: a plain string cannot be passed where a checked one is meant. */
declare const brand: unique symbol;
type Branded<Name extends string> = string & { readonly [brand]: Name };

export type RegionId = Branded<"RegionId">;
export type ClusterId = Branded<"ClusterId">;
export type TrustDomainName = Branded<"TrustDomainName">;
/** `spiffe://<trust domain>/<path>`. */
export type SpiffeId = Branded<"SpiffeId">;
/** `service.namespace.svc.<trust domain>`, lower case, without a trailing dot: how a service is called on the wire. */
export type ServiceHost = Branded<"ServiceHost">;

/** Longest name of one part: an RFC 1123 label, which is also a DNS label, a NATS token and one part of a store key. */
export const labelLengthMax = 63;

/** True for an RFC 1123 label: 1 to 63 of a-z, 0-9 and "-", beginning and ending with a letter or digit. */
export function isLabel(text: string): boolean {
  return text.length <= labelLengthMax && /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?$/.test(text);
}

/** The id of a region. @throws {ATOLL_NAME_INVALID} when it is not an RFC 1123 label. */
export function parseRegionId(text: string): RegionId {
  return parseLabel(text, "region") as RegionId;
}

/** The id of a cluster. @throws {ATOLL_NAME_INVALID} when it is not an RFC 1123 label, or is "global", which means the global plane. */
export function parseClusterId(text: string): ClusterId {
  if (!isClusterId(text)) throw new AtollError("ATOLL_NAME_INVALID", `${quoted(text)} is not a cluster id: ${clusterIdForm}`);
  return text as ClusterId;
}

/** True for what `parseClusterId` accepts. */
export function isClusterId(text: string): boolean {
  return isLabel(text) && text !== "global";
}

/** What an RFC 1123 label is, in the words of an error message. */
export const labelForm = `1 to ${labelLengthMax} of a-z, 0-9 and "-", beginning and ending with a letter or digit`;

/** What a cluster id is, in the words of an error message. */
export const clusterIdForm = `${labelForm}, and not "global"`;

/** A checked RFC 1123 label; `what` names it in the error. @throws {ATOLL_NAME_INVALID} */
export function parseLabel(text: string, what: string): string {
  if (!isLabel(text)) throw new AtollError("ATOLL_NAME_INVALID", `${quoted(text)} is not a name of a ${what}: ${labelForm}`);
  return text;
}

function quoted(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
