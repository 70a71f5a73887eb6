import { createHash, randomBytes, sign, type KeyObject } from "node:crypto";
import { isIP } from "node:net";
import { AtollError } from "#federation/runtime/errors.ts";
import { publicKeyBits } from "./certificate-reader.ts";
import {
  bitString,
  booleanTrue,
  contextConstructed,
  contextPrimitive,
  integer,
  octetString,
  oid,
  oids,
  readDer,
  sequence,
  setOf,
  time,
  utf8String,
  writeDer,
  type DerNode,
} from "./der.ts";

/** How far a certificate's start lies before the moment of issue: nodes whose clocks are up to 10 minutes behind still take it. */
export const notBeforeSkewMs = 15 * 60_000;

/** Everything of a certificate but its serial number and signature. */
export interface CertificateContent {
  readonly issuerName: DerNode;
  readonly subjectName: DerNode;
  readonly spkiDer: Uint8Array;
  readonly validity: DerNode;
  readonly extensions: readonly DerNode[];
}

/** Signs `content` with ecdsa-with-SHA256 under a fresh 16-byte serial and returns the certificate in DER. */
export function signCertificate(content: CertificateContent, issuerKey: KeyObject): Buffer {
  const algorithm = sequence(oid(oids.ecdsaWithSha256));
  const body = sequence(
    contextConstructed(0, integer(Uint8Array.of(2))),
    integer(createSerial()),
    algorithm,
    content.issuerName,
    content.validity,
    content.subjectName,
    readDer(content.spkiDer),
    contextConstructed(3, sequence(...content.extensions)),
  );
  const signature = sign("sha256", writeDer(body), issuerKey);
  return writeDer(sequence(body, algorithm, bitString(signature)));
}

/** 16 bytes, positive and without a leading zero byte: 126 random bits. @see https://www.rfc-editor.org/rfc/rfc5280#section-4.1.2.2 */
function createSerial(): Buffer {
  const serial = randomBytes(16);
  serial[0] = (serial.readUInt8(0) & 0x3f) | 0x40;
  return serial;
}

/** A Name of one common name, or the empty Name. @throws {ATOLL_CERTIFICATE_INVALID} above X.520's 64 characters. */
export function createName(commonName: string | undefined): DerNode {
  if (commonName === undefined) return sequence();
  if (commonName.length === 0 || commonName.length > 64) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "a common name has 1 to 64 characters");
  return sequence(setOf(sequence(oid(oids.commonName), utf8String(commonName))));
}

/** A Validity from `skewMs` before `nowMs` to `notAfterMs`, in whole seconds. */
export function createValidity(nowMs: number, notAfterMs: number, skewMs = notBeforeSkewMs): DerNode {
  return sequence(time(nowMs - skewMs), time(notAfterMs));
}

/** The key identifier of a public key: the leftmost 160 bits of the SHA-256 of its bits. @see https://www.rfc-editor.org/rfc/rfc7093#section-2 */
export function createKeyId(spkiDer: Uint8Array): Buffer {
  return createHash("sha256").update(publicKeyBits(spkiDer)).digest().subarray(0, 20);
}

/** One extension around its DER value. */
export function createExtension(name: string, critical: boolean, value: Uint8Array): DerNode {
  return critical ? sequence(oid(name), booleanTrue(), octetString(value)) : sequence(oid(name), octetString(value));
}

/** Critical basic constraints of an authority; without `pathLength` it may stand above any number of authorities. */
export function authorityConstraints(pathLength: number | undefined): DerNode {
  const fields = pathLength === undefined ? [booleanTrue()] : [booleanTrue(), integer(Uint8Array.of(pathLength))];
  return createExtension(oids.basicConstraints, true, writeDer(sequence(...fields)));
}

/** Critical basic constraints of a leaf. */
export function leafConstraints(): DerNode {
  return createExtension(oids.basicConstraints, true, writeDer(sequence()));
}

/** Critical key usage: keyCertSign and cRLSign for an authority, digitalSignature for a leaf. */
export function keyUsage(of: "authority" | "leaf"): DerNode {
  const bits = of === "authority" ? bitString(Uint8Array.of(0x06), 1) : bitString(Uint8Array.of(0x80), 7);
  return createExtension(oids.keyUsage, true, writeDer(bits));
}

/** Extended key usage with `purposes` as dotted OIDs. */
export function extendedKeyUsage(purposes: readonly string[], critical: boolean): DerNode {
  return createExtension(oids.extendedKeyUsage, critical, writeDer(sequence(...purposes.map(oid))));
}

/** The subject key identifier. */
export function subjectKeyId(keyId: Uint8Array): DerNode {
  return createExtension(oids.subjectKeyIdentifier, false, writeDer(octetString(keyId)));
}

/**
 * The authority key identifier by key alone. Issuer and serial number are left out, so that a cross-certificate with the
 * same name and key can take the issuer's place in a chain.
 */
export function authorityKeyId(keyId: Uint8Array): DerNode {
  return createExtension(oids.authorityKeyIdentifier, false, writeDer(sequence(contextPrimitive(0, keyId))));
}

/** Names of a certificate besides its subject. */
export interface AlternativeNames {
  readonly uri: string;
  readonly dnsNames?: readonly string[];
  readonly ipAddresses?: readonly string[];
}

/** Subject alternative names. @throws {ATOLL_CERTIFICATE_INVALID} when a DNS name or a literal address is none. */
export function subjectAltNames(names: AlternativeNames, critical: boolean): DerNode {
  const nodes = [contextPrimitive(6, Buffer.from(names.uri, "latin1"))];
  for (const name of names.dnsNames ?? []) {
    if (name.length > 253 || !/^[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?$/.test(name)) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "not a DNS name");
    nodes.push(contextPrimitive(2, Buffer.from(name, "latin1")));
  }
  for (const address of names.ipAddresses ?? []) nodes.push(contextPrimitive(7, ipBytes(address)));
  return createExtension(oids.subjectAltName, critical, writeDer(sequence(...nodes)));
}

/** Critical name constraints: URI names below this authority have exactly the host `trustDomain`. */
export function permittedTrustDomain(trustDomain: string): DerNode {
  const subtree = sequence(contextPrimitive(6, Buffer.from(trustDomain, "latin1")));
  return createExtension(oids.nameConstraints, true, writeDer(sequence(contextConstructed(0, subtree))));
}

function ipBytes(address: string): Buffer {
  if (isIP(address) === 4) return Buffer.from(address.split(".").map(Number));
  if (isIP(address) !== 6 || address.includes("%")) throw new AtollError("ATOLL_CERTIFICATE_INVALID", "not a literal IP address");
  // The URL parser writes every IPv6 form (a dotted tail included) as hexadecimal groups with at most one "::".
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1);
  const [head = "", tail] = canonical.split("::");
  const left = head === "" ? [] : head.split(":");
  const right = tail === undefined || tail === "" ? [] : tail.split(":");
  const zeros = Array.from({ length: 8 - left.length - right.length }, () => "0");
  const bytes = Buffer.alloc(16);
  [...left, ...zeros, ...right].forEach((group, index) => bytes.writeUInt16BE(Number.parseInt(group, 16), index * 2));
  return bytes;
}
