import { createExtension, extendedKeyUsage } from "#federation/identity/certificate-writer.ts";
import { bitString, contextPrimitive, oids, sequence, writeDer, type DerNode } from "#federation/identity/der.ts";

/** Trust domains of which each name is meant to be taken for another one: a part, an end, a beginning. */
export const domains = ["shop.example", "eu.shop.example", "shop.example.pay", "pay.example"] as const;
export type Domain = (typeof domains)[number];

/** The leaf's names, as what follows "spiffe://" and the domain in each, or whole ones. */
export interface NameShape {
  readonly uris: (domain: Domain) => readonly string[];
  readonly dns?: readonly string[];
}

/** How a chain is made; absent: as Atoll makes it. */
export interface ChainShape {
  readonly isAuthority?: true;
  readonly keyUsage?: DerNode | "none";
  readonly purposes?: DerNode | "none";
  readonly subject?: string;
  readonly isSanCritical?: false;
  /** From and to, in ms from now. */
  readonly validityMs?: readonly [number, number];
  /** What stands between the root and the leaf; intermediate authorities unless it says other. */
  readonly between?: "nothing" | "expired" | "no authority" | "no certificate signing" | "another domain's constraint" | "no constraint" | "two at path length 0" | "not sent" | "a leaf" | "no root";
}

/** One thing that a certificate says, and whether a leaf that says it may stand for a workload of the domain that signed it. */
export interface Claim {
  readonly name: string;
  /** By X.509-SVID §2 to §5 and RFC 5280 §6, and never by what the code does. */
  readonly isValid: boolean;
  readonly names: NameShape;
  readonly chain: ChainShape;
}

const hourMs = 3_600_000;
/** What every valid leaf is called within its domain. */
export const workloadPath = "/ns/web/sa/storefront";
const one: NameShape = { uris: (domain) => [`spiffe://${domain}${workloadPath}`] };
const usage = (bits: number, critical = true): DerNode => createExtension(oids.keyUsage, critical, writeDer(bitString(Uint8Array.of(bits), 0)));
const names = (name: string, isValid: boolean, ...uris: readonly string[]): Claim => ({ name, isValid, names: { uris: (domain) => uris.map((uri) => uri.replaceAll("DOMAIN", domain)) }, chain: {} });
const chain = (name: string, isValid: boolean, shape: ChainShape): Claim => ({ name, isValid, names: one, chain: shape });

/** @see https://github.com/spiffe/spiffe/blob/main/standards/X509-SVID.md and SPIFFE-ID.md */
export const claims: readonly Claim[] = [
  chain("as issued", true, {}),
  { name: "one URI and DNS names", isValid: true, names: { ...one, dns: ["shop.example", "localhost"] }, chain: {} },
  { name: "DNS names alone", isValid: false, names: { uris: () => [], dns: ["shop.example"] }, chain: {} },
  names("two URIs of one domain", false, `spiffe://DOMAIN${workloadPath}`, "spiffe://DOMAIN/ns/web/sa/other"),
  names("the same URI twice", false, `spiffe://DOMAIN${workloadPath}`, `spiffe://DOMAIN${workloadPath}`),
  ...domains.map((other) => names(`a second URI of ${other}`, false, `spiffe://DOMAIN${workloadPath}`, `spiffe://${other}/ns/web/sa/other`)),
  ...domains.map((other) => names(`a first URI of ${other}`, false, `spiffe://${other}/ns/web/sa/other`, `spiffe://DOMAIN${workloadPath}`)),
  names("a domain without a path", false, "spiffe://DOMAIN"),
  names("an empty path", false, "spiffe://DOMAIN/"),
  names("a slash at the end", false, `spiffe://DOMAIN${workloadPath}/`),
  names("an empty segment", false, "spiffe://DOMAIN/ns//storefront"),
  names("a segment of a dot", false, "spiffe://DOMAIN/ns/./storefront"),
  names("a segment of two dots", false, "spiffe://DOMAIN/ns/../sa/storefront"),
  names("a percent sign", false, "spiffe://DOMAIN/ns/web/sa/store%66ront"),
  names("a query", false, `spiffe://DOMAIN${workloadPath}?a`),
  names("a fragment", false, `spiffe://DOMAIN${workloadPath}#a`),
  names("a port", false, `spiffe://DOMAIN:443${workloadPath}`),
  names("user information", false, `spiffe://root@DOMAIN${workloadPath}`),
  names("a user called as another domain", false, `spiffe://pay.example:x@DOMAIN${workloadPath}`),
  names("another scheme", false, `https://DOMAIN${workloadPath}`),
  names("a scheme in capitals", false, `SPIFFE://DOMAIN${workloadPath}`),
  names("a zero byte", false, `spiffe://DOMAIN${workloadPath}\0x`),
  names("a space", false, `spiffe://DOMAIN${workloadPath} `),
  names("no authority in the URI", false, `spiffe:${workloadPath}`),
  chain("an authority as a leaf", false, { isAuthority: true }),
  chain("no key usage", false, { keyUsage: "none" }),
  chain("a key usage that is not critical", false, { keyUsage: usage(0x80, false) }),
  chain("no digitalSignature", false, { keyUsage: usage(0x20) }),
  chain("keyCertSign", false, { keyUsage: usage(0x84) }),
  chain("cRLSign", false, { keyUsage: usage(0x82) }),
  chain("no extended key usage", true, { purposes: "none" }),
  chain("for servers alone", false, { purposes: extendedKeyUsage([oids.serverAuth], false) }),
  chain("for clients alone", false, { purposes: extendedKeyUsage([oids.clientAuth], false) }),
  chain("for code signing", false, { purposes: extendedKeyUsage([oids.codeSigning], true) }),
  chain("no subject, names that are not critical", false, { isSanCritical: false }),
  chain("a subject, names that are not critical", true, { subject: "storefront", isSanCritical: false }),
  chain("expired", false, { validityMs: [-2 * hourMs, -hourMs] }),
  chain("not yet valid", false, { validityMs: [hourMs, 2 * hourMs] }),
  chain("signed by the root itself", true, { between: "nothing" }),
  chain("an intermediate without name constraints", true, { between: "no constraint" }),
  chain("an expired intermediate", false, { between: "expired" }),
  chain("an intermediate that is no authority", false, { between: "no authority" }),
  chain("an intermediate that may not sign certificates", false, { between: "no certificate signing" }),
  chain("an intermediate of another domain's constraint", false, { between: "another domain's constraint" }),
  chain("an intermediate below one of path length 0", false, { between: "two at path length 0" }),
  chain("an intermediate that is not sent", false, { between: "not sent" }),
  chain("signed by a leaf", false, { between: "a leaf" }),
  chain("a root that nobody knows", false, { between: "no root" }),
];

/** Subject alternative names with whatever bytes. */
export function alternativeNames({ uris, dns = [] }: NameShape, domain: Domain, critical: boolean): DerNode {
  const nodes = [...uris(domain).map((uri) => contextPrimitive(6, Buffer.from(uri, "latin1"))), ...dns.map((name) => contextPrimitive(2, Buffer.from(name, "latin1")))];
  return createExtension(oids.subjectAltName, critical, writeDer(sequence(...nodes)));
}
