import { AtollError } from "#federation/runtime/errors.ts";
import type { SpiffeId, TrustDomainName } from "./names.ts";

/** Longest SPIFFE ID in bytes; the grammar is ASCII, so characters are bytes. @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md#23-maximum-spiffe-id-length */
export const spiffeIdLengthMax = 2048;

const spiffeTrustDomainLengthMax = 255;

/**
 * Longest trust domain in characters. The longest server name that carries one is `p65535.<service>.<namespace>.svc.<trust domain>`
 * with labels of 63; a DNS name has at most 253 characters, which leaves 114.
 */
export const trustDomainLengthMax = 114;

const scheme = "spiffe://";
const spiffeTrustDomain = /^[a-z0-9._-]+$/;
const pathSegment = /^[A-Za-z0-9._-]+$/;
const dnsLabel = /^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$/;

/**
 * Reads a trust domain that Atoll can serve: SPIFFE's grammar, DNS-safe labels, short enough for every server name.
 * A last label of digits only is refused too, since it reads as an IP address.
 * @throws {ATOLL_SPIFFE_ID_INVALID}
 */
export function parseTrustDomainName(text: string): TrustDomainName {
  if (!isTrustDomainName(text)) throw new AtollError("ATOLL_SPIFFE_ID_INVALID", `not a trust domain name: ${shown(text)}`);
  return text;
}

/** True when `parseTrustDomainName` would take `text`. */
export function isTrustDomainName(text: string): text is TrustDomainName {
  if (text.length === 0 || text.length > trustDomainLengthMax) return false;
  const labels = text.split(".");
  return labels.every((label) => dnsLabel.test(label)) && !/^[0-9]+$/.test(labels.at(-1) ?? "");
}

/**
 * Reads a SPIFFE ID by the strict grammar: lower-case scheme and trust domain, no percent-encoding, user info, port, query or
 * fragment, no empty, `.` or `..` segment, no trailing slash. The path may be absent. The trust domain may be any that SPIFFE
 * allows, DNS-safe or not: only a bundle's domain is ever trusted, and those pass `parseTrustDomainName`.
 * @throws {ATOLL_SPIFFE_ID_INVALID}
 * @see https://github.com/spiffe/spiffe/blob/main/standards/SPIFFE-ID.md
 */
export function parseSpiffeId(text: string): SpiffeId {
  if (!isSpiffeId(text)) throw new AtollError("ATOLL_SPIFFE_ID_INVALID", `not a SPIFFE ID: ${shown(text)}`);
  return text;
}

/** True when `parseSpiffeId` would take `text`. */
export function isSpiffeId(text: string): text is SpiffeId {
  if (text.length > spiffeIdLengthMax || !text.startsWith(scheme)) return false;
  const [trustDomain = "", ...segments] = text.slice(scheme.length).split("/");
  if (trustDomain.length > spiffeTrustDomainLengthMax || !spiffeTrustDomain.test(trustDomain)) return false;
  return segments.every((segment) => segment !== "." && segment !== ".." && pathSegment.test(segment));
}

/** `spiffe://<trustDomain>/<segments joined by slashes>`. @throws {ATOLL_SPIFFE_ID_INVALID} when a segment does not fit the grammar. */
export function createSpiffeId(trustDomain: TrustDomainName, ...segments: readonly string[]): SpiffeId {
  return parseSpiffeId([scheme + trustDomain, ...segments].join("/"));
}

/** The identity of a workload: `spiffe://<trustDomain>/ns/<namespace>/sa/<name>`. @throws {ATOLL_SPIFFE_ID_INVALID} */
export function createWorkloadId(trustDomain: TrustDomainName, namespace: string, name: string): SpiffeId {
  return createSpiffeId(trustDomain, "ns", namespace, "sa", name);
}

/** As what every plane of a trust domain serves its bundle: whoever federates with the domain configures one identity for all of them, and for good. */
export function bundleEndpointId(trustDomain: TrustDomainName): SpiffeId {
  return createSpiffeId(trustDomain, "atoll", "bundle-endpoint");
}

/** The trust domain that `id` claims. A claim only: the peer's certificate chain proves it. */
export function trustDomainOf(id: SpiffeId): TrustDomainName {
  const end = id.indexOf("/", scheme.length);
  return id.slice(scheme.length, end === -1 ? undefined : end) as TrustDomainName;
}

/** The path of `id` with its leading slash; empty when `id` names a trust domain. */
export function pathOf(id: SpiffeId): string {
  const start = id.indexOf("/", scheme.length);
  return start === -1 ? "" : id.slice(start);
}

/** True for `/atoll` and all under it: identities of Atoll's own parts, which no registration may hand to a workload. */
export function isReservedPath(id: SpiffeId): boolean {
  const path = pathOf(id);
  return path === "/atoll" || path.startsWith("/atoll/");
}

/** Untrusted text for an error message: quoted, escaped, short. */
function shown(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}
